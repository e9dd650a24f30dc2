# A tenant's side of "proof by event" on AWS: every edit of the role or the key that Leasehold was given has Leasehold look
# at once. Applied in the tenant's account; docs/reprove.md says what else is needed (a trail that logs management events).
#
#   terraform apply -var tenant=acme -var endpoint=https://events.leasehold.example \
#     -var role_name=leasehold-access -var key_arn=arn:aws:kms:eu-central-1:111122223333:key/… -var secret=…

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
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

variable "role_name" {
  description = "The name of the role that Leasehold assumes."
  type        = string
}

variable "key_arn" {
  description = "The ARN of the key that the role may use."
  type        = string
}

locals {
  key_region = split(":", var.key_arn)[3]
  # Names of roles have at most 64 characters, and ids of tenants 63.
  named      = length(var.tenant) <= 32 ? var.tenant : "${substr(var.tenant, 0, 23)}-${substr(sha256(var.tenant), 0, 8)}"
  url        = "${trimsuffix(var.endpoint, "/")}/v1/tenants/${var.tenant}:reprove"
}

# KMS records its calls in the key's own region.
provider "aws" {
  region = local.key_region
}

# IAM is one for all regions, and its events are delivered in this region alone.
provider "aws" {
  alias  = "iam"
  region = "us-east-1"
}

module "role" {
  source    = "./region"
  providers = { aws = aws.iam }
  name      = "leasehold-${local.named}-role"
  url       = local.url
  secret    = var.secret
  pattern   = templatefile("${path.module}/region/role-events.json.tftpl", { role_name = var.role_name })
}

module "key" {
  source  = "./region"
  name    = "leasehold-${local.named}-key"
  url     = local.url
  secret  = var.secret
  pattern = templatefile("${path.module}/region/key-events.json.tftpl", { key_arn = var.key_arn })
}
