# An example: replace the account, the certificate, the e-mail address and the repository.
region             = "eu-central-1"
environment        = "production"
availability_zones = ["eu-central-1a", "eu-central-1b"]
certificate_arn    = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
alarm_emails       = ["orders-on-call@example.com"]

task_cpu    = 1024
task_memory = 2048
tasks_min   = 2
tasks_max   = 10

database_instance_class   = "db.t4g.medium"
database_password_version = 1

# For a repository created since July 2026 this includes numeric ids: repo:example@123/orders@456:environment:…
github_subjects = ["repo:example/orders:environment:production"]
state_bucket    = "example-orders-production-state"
state_key       = "orders.tfstate"
