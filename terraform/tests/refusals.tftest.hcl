# Terraform rejects an invalid value, with an error message, before it plans anything.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

run "malformed_region" {
  command = plan

  variables {
    region = "Frankfurt"
  }

  expect_failures = [var.region]
}

run "wait_for_the_database_beyond_a_deployment" {
  command = plan

  variables {
    store_wait_seconds = 901
  }

  expect_failures = [var.store_wait_seconds]
}

run "environment_too_long" {
  command = plan

  variables {
    environment = "production-of-the-east"
  }

  expect_failures = [var.environment]
}

run "one_availability_zone" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "the_same_zone_twice" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a", "eu-central-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "zone_of_another_region" {
  command = plan

  variables {
    availability_zones = ["eu-central-1a", "eu-west-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "vpc_range_too_small" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "malformed_certificate_arn" {
  command = plan

  variables {
    certificate_arn = "www.example.com"
  }

  expect_failures = [var.certificate_arn]
}

run "no_allowed_range" {
  command = plan

  variables {
    allowed_cidrs = []
  }

  expect_failures = [var.allowed_cidrs]
}

run "allowed_range_as_a_name" {
  command = plan

  variables {
    allowed_cidrs = ["example.com"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "image_as_a_tag" {
  command = plan

  variables {
    image_digest = "latest"
  }

  expect_failures = [var.image_digest]
}

run "truncated_image_digest" {
  command = plan

  variables {
    image_digest = "sha256:0123"
  }

  expect_failures = [var.image_digest]
}

run "unknown_processor" {
  command = plan

  variables {
    cpu_architecture = "arm"
  }

  expect_failures = [var.cpu_architecture]
}

run "unsupported_cpu_units" {
  command = plan

  variables {
    task_cpu = 768
  }

  expect_failures = [var.task_cpu]
}

run "memory_not_in_whole_gib" {
  command = plan

  variables {
    task_memory = 1536
  }

  expect_failures = [var.task_memory]
}

run "one_task" {
  command = plan

  variables {
    tasks_min = 1
  }

  expect_failures = [var.tasks_min]
}

run "maximum_below_minimum_tasks" {
  command = plan

  variables {
    tasks_max = 1
  }

  expect_failures = [var.tasks_max]
}

run "cpu_target_without_reserve" {
  command = plan

  variables {
    cpu_target_percent = 95
  }

  expect_failures = [var.cpu_target_percent]
}

run "empty_log_filter" {
  command = plan

  variables {
    log_filter = " "
  }

  expect_failures = [var.log_filter]
}

run "unknown_log_level" {
  command = plan

  variables {
    log_filter = "warning"
  }

  expect_failures = [var.log_filter]
}

run "two_log_levels" {
  command = plan

  variables {
    log_filter = "info,debug"
  }

  expect_failures = [var.log_filter]
}

run "negative_drain_delay" {
  command = plan

  variables {
    drain_delay_seconds = -1
  }

  expect_failures = [var.drain_delay_seconds]
}

run "zero_drain_timeout" {
  command = plan

  variables {
    drain_timeout_seconds = 0
  }

  expect_failures = [var.drain_timeout_seconds]
}

run "stop_timeout_within_the_drain" {
  command = plan

  variables {
    stop_timeout_seconds = 35
  }

  expect_failures = [var.stop_timeout_seconds]
}

run "stop_timeout_above_fargates_maximum" {
  command = plan

  variables {
    stop_timeout_seconds = 121
  }

  expect_failures = [var.stop_timeout_seconds]
}

run "deregistration_beyond_the_drain" {
  command = plan

  variables {
    deregistration_delay_seconds = 36
  }

  expect_failures = [var.deregistration_delay_seconds]
}

run "unsupported_postgresql_version" {
  command = plan

  variables {
    database_version = "12"
  }

  expect_failures = [var.database_version]
}

run "malformed_instance_class" {
  command = plan

  variables {
    database_instance_class = "large"
  }

  expect_failures = [var.database_instance_class]
}

run "storage_below_the_minimum" {
  command = plan

  variables {
    database_storage_gib = 10
  }

  expect_failures = [var.database_storage_gib]
}

run "storage_limit_equal_to_initial_storage" {
  command = plan

  variables {
    database_storage_max_gib = 20
  }

  expect_failures = [var.database_storage_max_gib]
}

run "backup_retention_too_short" {
  command = plan

  variables {
    database_backup_days = 1
  }

  expect_failures = [var.database_backup_days]
}

run "relative_ca_file" {
  command = plan

  variables {
    database_ca_file = "rds-ca.pem"
  }

  expect_failures = [var.database_ca_file]
}

run "password_too_short" {
  command = plan

  variables {
    database_password = "secret"
  }

  expect_failures = [var.database_password]
}

run "password_version_zero" {
  command = plan

  variables {
    database_password_version = 0
  }

  expect_failures = [var.database_password_version]
}

run "unsupported_log_retention" {
  command = plan

  variables {
    log_retention_days = 42
  }

  expect_failures = [var.log_retention_days]
}

run "no_alarm_address" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}

run "malformed_alarm_address" {
  command = plan

  variables {
    alarm_emails = ["on-call"]
  }

  expect_failures = [var.alarm_emails]
}

run "latency_alarm_above_the_request_timeout" {
  command = plan

  variables {
    latency_alarm_seconds = 11
  }

  expect_failures = [var.latency_alarm_seconds]
}

run "github_subject_with_wildcard" {
  command = plan

  variables {
    github_subjects = ["repo:example/orders:*"]
  }

  expect_failures = [var.github_subjects]
}

run "no_github_subject" {
  command = plan

  variables {
    github_subjects = []
  }

  expect_failures = [var.github_subjects]
}

run "identity_provider_other_than_github" {
  command = plan

  variables {
    github_oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/example.com"
  }

  expect_failures = [var.github_oidc_provider_arn]
}

run "malformed_state_bucket" {
  command = plan

  variables {
    state_bucket = "State"
  }

  expect_failures = [var.state_bucket]
}

run "state_key_with_wildcard" {
  command = plan

  variables {
    state_key = "*"
  }

  expect_failures = [var.state_key]
}
