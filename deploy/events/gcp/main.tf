# A tenant's side of "proof by event" on Google Cloud: a log sink of the edits that matter, a topic, and a push subscription
# that presents a token of a service account made for it. Applied in the project of the key; if the service account that
# Leasehold impersonates is in another project, applied there too.
#
#   terraform apply -var tenant=acme -var endpoint=https://events.leasehold.example -var project=acme-prod \
#     -var key=projects/acme-prod/locations/europe-west3/keyRings/leasehold/cryptoKeys/main \
#     -var service_account=leasehold@acme-prod.iam.gserviceaccount.com

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.10"
    }
  }
}

variable "project" {
  description = "The project whose audit log is read."
  type        = string
}

variable "tenant" {
  description = "The tenant's id at Leasehold."
  type        = string
}

variable "endpoint" {
  description = "Where Leasehold listens for event feeds: https, with a certificate that is publicly trusted."
  type        = string
}

variable "key" {
  description = "The resource name of the key, projects/…/cryptoKeys/…."
  type        = string
}

variable "service_account" {
  description = "The email of the service account that Leasehold impersonates."
  type        = string
}

variable "dead_letter_topic" {
  description = "The id of a topic, projects/…/topics/…, for what was refused; null for none."
  type        = string
  default     = null
}

locals {
  name     = "leasehold-${var.tenant}"
  url      = "${trimsuffix(var.endpoint, "/")}/v1/tenants/${var.tenant}:reprove"
  audience = trimsuffix(var.endpoint, "/")

  # One for each tenant of the project. Ids of service accounts have at most 30 characters.
  account = can(regex("^[-a-z0-9]{0,19}[a-z0-9]$", var.tenant)) ? local.name : "leasehold-${substr(sha256(var.tenant), 0, 12)}"
}

provider "google" {
  project = var.project
}

data "google_project" "this" {}

resource "google_pubsub_topic" "edits" {
  name                       = local.name
  message_retention_duration = "3600s"
}

# Admin Activity logs are always on. Exclusions of the _Default sink do not touch this one.
resource "google_logging_project_sink" "edits" {
  name                   = local.name
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.edits.id}"
  unique_writer_identity = true

  filter = templatefile("${path.module}/filter.tftpl", {
    project         = var.project
    key             = var.key
    service_account = var.service_account
  })
}

resource "google_pubsub_topic_iam_member" "sink" {
  topic  = google_pubsub_topic.edits.id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.edits.writer_identity
}

# Has no role anywhere: it only lends its name to the tokens.
resource "google_service_account" "push" {
  account_id   = local.account
  display_name = "Tells Leasehold to look"
}

resource "google_service_account_iam_member" "push" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription" "leasehold" {
  name  = local.name
  topic = google_pubsub_topic.edits.id

  # Leasehold answers within 5 s. After an hour, the longest revocation bound, it has looked by itself.
  ack_deadline_seconds       = 10
  message_retention_duration = "3600s"

  push_config {
    push_endpoint = local.url

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.audience
    }
  }

  # Pub/Sub tries again after any answer but 2xx, refusals included; hence a pause that grows.
  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }

  dynamic "dead_letter_policy" {
    for_each = var.dead_letter_topic[*]

    content {
      dead_letter_topic     = dead_letter_policy.value
      max_delivery_attempts = 20
    }
  }

  expiration_policy {
    ttl = ""
  }
}

output "caller" {
  description = "What the operator puts under [[reprove.callers]]."

  value = <<-EOT
    name = "${var.tenant}-gcp"
    tenants = ["${var.tenant}"]
    [reprove.callers.oidc]
    issuer = "https://accounts.google.com"
    audience = "${local.audience}"
    email = "${google_service_account.push.email}"
    jwks_url = "https://www.googleapis.com/oauth2/v3/certs"
  EOT
}
