# A tenant's side of "proof by event" on Azure. docs/reprove.md says what this can deliver and what it cannot: role
# assignments and changes of the vault within seconds or minutes, a disabled key or service principal only as fast as their
# logs arrive.
#
#   terraform apply -var tenant=acme -var endpoint=https://events.leasehold.example -var secret=… \
#     -var vault_id=/subscriptions/…/vaults/acme-keys -var key=main -var workspace_id=/subscriptions/…/workspaces/audit \
#     -var principal_id=00000000-… -var webhook_application=11111111-…

terraform {
  required_version = ">= 1.5"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
  }
}

variable "tenant" {
  description = "The tenant's id at Leasehold."
  type        = string
}

variable "endpoint" {
  description = "Where Leasehold listens for event feeds: https, with a certificate that is publicly trusted."
  type        = string
}

variable "secret" {
  description = "The secret that the operator issued for this tenant's feed; at least 32 characters."
  type        = string
  sensitive   = true
}

variable "vault_id" {
  description = "The resource id of the key vault."
  type        = string
}

variable "key" {
  description = "The name of the key in the vault."
  type        = string
}

variable "principal_id" {
  description = "The object id of Leasehold's service principal in this directory."
  type        = string
}

variable "workspace_id" {
  description = "The Log Analytics workspace that the vault's AuditEvent log and Entra's AuditLogs are sent to; null for none."
  type        = string
  default     = null
}

variable "webhook_application" {
  description = "The object id of the application that the alerts' tokens are for; needed with workspace_id."
  type        = string
  default     = null
}

provider "azurerm" {
  features {}
}

data "azurerm_client_config" "this" {}

locals {
  name     = "leasehold-${var.tenant}"
  url      = "${trimsuffix(var.endpoint, "/")}/v1/tenants/${var.tenant}:reprove"
  vault    = regex("^/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/.*/vaults/(?P<name>[^/]+)$", var.vault_id)
  location = data.azurerm_key_vault.this.location
}

data "azurerm_key_vault" "this" {
  name                = local.vault.name
  resource_group_name = local.vault.group
}

# === Event Grid: role assignments, the vault itself, and new versions of the key ===

# One system topic per source: where there is one already, use that instead.
resource "azurerm_eventgrid_system_topic" "subscription" {
  name                = "${local.name}-subscription"
  resource_group_name = local.vault.group
  location            = "Global"
  source_resource_id  = "/subscriptions/${local.vault.subscription}"
  topic_type          = "Microsoft.Resources.Subscriptions"
}

resource "azurerm_eventgrid_system_topic_event_subscription" "assignments" {
  name                = "${local.name}-assignments"
  system_topic        = azurerm_eventgrid_system_topic.subscription.name
  resource_group_name = local.vault.group

  included_event_types = [
    "Microsoft.Resources.ResourceWriteSuccess",
    "Microsoft.Resources.ResourceDeleteSuccess",
  ]

  # Not narrowed to the vault: an assignment to its resource group or subscription matters as much.
  advanced_filter {
    string_in {
      key = "data.operationName"
      values = [
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "Microsoft.Authorization/denyAssignments/write",
        "Microsoft.KeyVault/vaults/write",
        "Microsoft.KeyVault/vaults/delete",
        "Microsoft.KeyVault/vaults/keys/write",
      ]
    }
  }

  webhook_endpoint {
    url = local.url
  }

  delivery_property {
    header_name = "x-api-key"
    type        = "Static"
    value       = var.secret
    secret      = true
  }

  # The longest revocation bound is an hour; by then Leasehold has looked by itself.
  retry_policy {
    max_delivery_attempts = 30
    event_time_to_live    = 60
  }
}

resource "azurerm_eventgrid_system_topic" "vault" {
  name                = "${local.name}-vault"
  resource_group_name = local.vault.group
  location            = local.location
  source_resource_id  = var.vault_id
  topic_type          = "Microsoft.KeyVault.vaults"
}

resource "azurerm_eventgrid_system_topic_event_subscription" "key" {
  name                = "${local.name}-key"
  system_topic        = azurerm_eventgrid_system_topic.vault.name
  resource_group_name = local.vault.group

  included_event_types = [
    "Microsoft.KeyVault.KeyExpired",
    "Microsoft.KeyVault.KeyNewVersionCreated",
    "Microsoft.KeyVault.VaultAccessPolicyChanged",
  ]

  webhook_endpoint {
    url = local.url
  }

  delivery_property {
    header_name = "x-api-key"
    type        = "Static"
    value       = var.secret
    secret      = true
  }

  retry_policy {
    max_delivery_attempts = 30
    event_time_to_live    = 60
  }
}

# === Log alerts: what Event Grid does not tell ===

# Calls Leasehold with a token of this directory: alerts can present nothing else.
resource "azurerm_monitor_action_group" "leasehold" {
  count               = var.workspace_id == null ? 0 : 1
  name                = local.name
  resource_group_name = local.vault.group
  short_name          = "leasehold"

  webhook_receiver {
    name                    = "leasehold"
    service_uri             = local.url
    use_common_alert_schema = true

    aad_auth {
      object_id = var.webhook_application
      tenant_id = data.azurerm_client_config.this.tenant_id
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "edits" {
  count                = var.workspace_id == null ? 0 : 1
  name                 = local.name
  resource_group_name  = local.vault.group
  location             = local.location
  scopes               = [var.workspace_id]
  severity             = 3
  evaluation_frequency = "PT1M"
  # Five evaluations see each row: logs arrive late, and a proof too many costs little.
  window_duration = "PT5M"

  criteria {
    query = templatefile("${path.module}/query.tftpl", {
      vault_id     = var.vault_id
      key          = var.key
      principal_id = var.principal_id
    })
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0
  }

  action {
    action_groups = [azurerm_monitor_action_group.leasehold[0].id]
  }
}
