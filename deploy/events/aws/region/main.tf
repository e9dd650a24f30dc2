# One rule with its API destination, in one region.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
    }
  }
}

variable "name" {
  description = "What everything here is called; at most 50 characters."
  type        = string
}

variable "url" {
  description = "The whole URL to call."
  type        = string
}

variable "secret" {
  description = "What to present there."
  type        = string
  sensitive   = true
}

variable "pattern" {
  description = "Which events are meant."
  type        = string
}

resource "aws_cloudwatch_event_connection" "leasehold" {
  name               = var.name
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = "x-api-key"
      value = var.secret
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "leasehold" {
  name                = var.name
  connection_arn      = aws_cloudwatch_event_connection.leasehold.arn
  http_method         = "POST"
  invocation_endpoint = var.url

  # Below what Leasehold takes for one tenant at once.
  invocation_rate_limit_per_second = 5
}

resource "aws_cloudwatch_event_rule" "edits" {
  name          = var.name
  description   = "Edits that change whether Leasehold may still use the key"
  event_pattern = var.pattern
}

resource "aws_cloudwatch_event_target" "leasehold" {
  rule     = aws_cloudwatch_event_rule.edits.name
  arn      = aws_cloudwatch_event_api_destination.leasehold.arn
  role_arn = aws_iam_role.deliver.arn

  # Leasehold believes nothing of an event, so it gets next to nothing: no policy, no caller, no address leaves the account.
  input_transformer {
    input_paths    = jsondecode(file("${path.module}/input-paths.json"))
    input_template = file("${path.module}/input-template.json")
  }

  # The longest revocation bound is an hour; by then Leasehold has looked by itself.
  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_iam_role" "deliver" {
  name = "${var.name}-deliver"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "deliver" {
  name = "deliver"
  role = aws_iam_role.deliver.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.leasehold.arn
    }]
  })
}

# What could not be delivered. An alarm on its length tells that events do not arrive.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.edits.arn } }
    }]
  })
}
