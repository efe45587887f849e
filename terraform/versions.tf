# Terraform 1.11 introduced write-only arguments, which keep the database password out of the state.
terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # Bucket, key and region come from environments/NAME.s3.tfbackend.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      service     = "orders"
      environment = var.environment
      managed-by  = "terraform"
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  name      = "orders-${var.environment}"
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  # ARN prefixes of AWS services in this account and region.
  arn = {
    for service in ["ecs", "elasticloadbalancing", "logs"] :
    service => "arn:${local.partition}:${service}:${var.region}:${local.account}"
  }

  # The port that the host listens on, in the task.
  port = 8080
}
