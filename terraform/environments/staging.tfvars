# An example, like production.tfvars, in a separate account.
region             = "eu-central-1"
environment        = "staging"
availability_zones = ["eu-central-1a", "eu-central-1b"]
certificate_arn    = "arn:aws:acm:eu-central-1:444455556666:certificate/00000000-0000-0000-0000-000000000000"
alarm_emails       = ["orders-staging@example.com"]

tasks_max = 4

database_instance_class   = "db.t4g.small"
database_password_version = 1
database_backup_days      = 7
deletion_protection       = false
log_retention_days        = 30

github_subjects = ["repo:example/orders:environment:staging"]
state_bucket    = "example-orders-staging-state"
state_key       = "orders.tfstate"
