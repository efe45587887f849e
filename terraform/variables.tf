# Where

variable "region" {
  description = "The AWS region, for example eu-central-1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region has the form eu-central-1."
  }
}

variable "environment" {
  description = "The name of the environment. Everything is named orders-ENVIRONMENT."
  type        = string
  nullable    = false

  validation {
    # Names of load balancers have at most 32 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.environment))
    error_message = "The environment has 3 to 16 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "availability_zones" {
  description = "The availability zones to run in: two or three of the region."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(distinct(var.availability_zones)) >= 2 && length(var.availability_zones) <= 3
    error_message = "Two or three different availability zones are needed, so that one may fail."
  }

  validation {
    condition     = alltrue([for zone in var.availability_zones : startswith(zone, var.region)])
    error_message = "The availability zones must be of the region that is deployed to."
  }
}

variable "vpc_cidr" {
  description = "The address range of the VPC, with 16 to 20 bits of prefix. Three subnets a zone are cut from it."
  type        = string
  default     = "10.40.0.0/16"
  nullable    = false

  validation {
    condition = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))

    error_message = "The VPC's address range is an IPv4 range with a prefix of 16 to 20 bits, as 10.40.0.0/16."
  }
}

# Who may call

variable "certificate_arn" {
  description = "The ARN of the ACM certificate of the public name, in this region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$", var.certificate_arn))
    error_message = "The certificate is the ARN of one in ACM: arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "allowed_cidrs" {
  description = "The IPv4 ranges that may call the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for range in var.allowed_cidrs : can(cidrnetmask(range))])
    error_message = "At least one IPv4 range must be allowed, and each has the form 192.0.2.0/24."
  }
}

# What runs

variable "image_digest" {
  description = "The digest of the image in this environment's registry: sha256:… Tags are not accepted."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "The image is named by its digest: sha256: and 64 hexadecimal digits. A tag can be moved."
  }
}

variable "cpu_architecture" {
  description = "The processor that the image is built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "The processor architecture is X86_64 or ARM64."
  }
}

variable "task_cpu" {
  description = "The processor share of a task in units of 1/1024: 512, 1024, 2048 or 4096."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([512, 1024, 2048, 4096], var.task_cpu)
    error_message = "A task has 512, 1024, 2048 or 4096 processor units."
  }
}

variable "task_memory" {
  description = "The memory of a task in MiB: a whole number of GiB, from two to eight times its processors."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition = (
      var.task_memory % 1024 == 0 && var.task_memory <= 8 * var.task_cpu &&
      var.task_memory >= 2 * var.task_cpu
    )
    error_message = "Fargate gives a task whole GiB of memory, at least 2 MiB and at most 8 MiB a processor unit."
  }
}

variable "tasks_min" {
  description = "The fewest tasks. One of two may fail, or be replaced, while the other serves."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.tasks_min >= 2 && floor(var.tasks_min) == var.tasks_min
    error_message = "At least 2 tasks are needed, so that one may fail."
  }
}

variable "tasks_max" {
  description = "The most tasks that autoscaling may start."
  type        = number
  default     = 6
  nullable    = false

  validation {
    condition     = var.tasks_max >= var.tasks_min && var.tasks_max <= 50
    error_message = "The most tasks are at least as many as the fewest, and at most 50."
  }
}

variable "cpu_target_percent" {
  description = "The average processor use that autoscaling aims at, in percent."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.cpu_target_percent >= 20 && var.cpu_target_percent <= 80
    error_message = "Autoscaling aims at 20 to 80 percent: above that nothing is left for the minutes a task takes to start."
  }
}

variable "log_filter" {
  description = "What the host logs: the value of ORDERS_LOG."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = length(trimspace(var.log_filter)) > 0
    error_message = "The log filter is not empty: info, or warn,access=info."
  }
}

# How a task ends

variable "drain_delay_seconds" {
  description = "How long a task goes on taking requests after it was told to stop, in seconds: ORDERS_DRAIN_DELAY."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.drain_delay_seconds >= 0 && floor(var.drain_delay_seconds) == var.drain_delay_seconds
    error_message = "The drain delay is a whole number of seconds, not below 0."
  }
}

variable "drain_timeout_seconds" {
  description = "How long requests under way may then take, in seconds: ORDERS_DRAIN_TIMEOUT."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.drain_timeout_seconds >= 1 && floor(var.drain_timeout_seconds) == var.drain_timeout_seconds
    error_message = "The drain timeout is a whole number of seconds, at least 1."
  }
}

variable "stop_timeout_seconds" {
  description = "When a task is killed that has not ended by itself, in seconds after it was told to. Fargate: at most 120."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.stop_timeout_seconds > var.drain_delay_seconds + var.drain_timeout_seconds
    error_message = "The stop timeout must be longer than drain delay and drain timeout together: else tasks are killed while they drain."
  }

  validation {
    condition     = var.stop_timeout_seconds <= 120
    error_message = "Fargate waits at most 120 seconds for a task to stop."
  }
}

variable "deregistration_delay_seconds" {
  description = "How long the load balancer lets requests to a leaving task end, in seconds. The task drains at least as long."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = (
      var.deregistration_delay_seconds >= 1 &&
      var.deregistration_delay_seconds <= var.drain_delay_seconds + var.drain_timeout_seconds
    )
    error_message = "The load balancer's deregistration delay must end within drain delay and drain timeout together."
  }
}

# The database

variable "database_version" {
  description = "The major version of PostgreSQL. Minor versions are installed in the maintenance window."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = contains(["16", "17"], var.database_version)
    error_message = "PostgreSQL 16 or 17 is expected."
  }
}

variable "database_instance_class" {
  description = "The size of the database."
  type        = string
  default     = "db.t4g.medium"
  nullable    = false

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database_instance_class))
    error_message = "The database's size has the form db.t4g.medium."
  }
}

variable "database_storage_gib" {
  description = "The storage that the database starts with, in GiB."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.database_storage_gib >= 20
    error_message = "A database has at least 20 GiB of gp3 storage."
  }
}

variable "database_storage_max_gib" {
  description = "The storage that the database may grow to by itself, in GiB."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.database_storage_max_gib >= 1.1 * var.database_storage_gib
    error_message = "The most storage must be at least a tenth above what the database starts with: RDS does not grow by less."
  }
}

variable "database_backup_days" {
  description = "How long backups are kept, in days: as far back as any second can be restored."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.database_backup_days >= 7 && var.database_backup_days <= 35
    error_message = "Backups are kept for 7 to 35 days."
  }
}

variable "database_ca_file" {
  description = "Where the image has the certificates of the RDS authorities: sslrootcert in the database URL."
  type        = string
  default     = "/app/rds-ca.pem"
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.database_ca_file))
    error_message = "The file of RDS authorities is an absolute path in the image."
  }
}

variable "database_password" {
  description = "The new password, only when database_password_version rises: see deploy/set-database-password. Never kept in the state."
  type        = string
  # RDS refuses this one for its length: a version that rises without a password changes nothing.
  default   = "unset"
  ephemeral = true
  sensitive = true
  nullable  = false

  validation {
    # It becomes a part of a URL.
    condition     = var.database_password == "unset" || can(regex("^[A-Za-z0-9]{32,128}$", var.database_password))
    error_message = "The database password has 32 to 128 letters and digits."
  }
}

variable "database_password_version" {
  description = "Raise it by one to set another database password."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.database_password_version >= 1 && floor(var.database_password_version) == var.database_password_version
    error_message = "The password's version is a whole number, at least 1."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer and the database refuse to be deleted, and a last snapshot is kept of the latter."
  type        = bool
  default     = true
  nullable    = false
}

# Logs and alarms

variable "log_retention_days" {
  description = "How long logs are kept, in days. The access log names callers."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "Logs are kept for 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "alarm_emails" {
  description = "The addresses that alarms are sent to. Each has to confirm by the mail that it gets."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for email in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "At least one mail address must get the alarms: nobody would see them."
  }
}

variable "latency_alarm_seconds" {
  description = "The 99th percentile of the time to answer above which an alarm is raised, in seconds."
  type        = number
  default     = 0.5
  nullable    = false

  validation {
    condition     = var.latency_alarm_seconds > 0 && var.latency_alarm_seconds <= 10
    error_message = "The alarm on latency is above 0 and at most 10 seconds, when the host gives up by itself."
  }
}

# The pipeline

variable "github_subjects" {
  description = "The `sub` of the GitHub tokens that may deploy: repo:OWNER/NAME:environment:NAME, with ids in repositories made since July 2026."
  type        = list(string)
  nullable    = false

  validation {
    condition = length(var.github_subjects) > 0 && alltrue([
      for subject in var.github_subjects : can(regex("^repo:[^*?:]+/[^*?:]+:environment:[^*?:]+$", subject))
    ])
    error_message = "Who may deploy is named in full, without wildcards: repo:OWNER/NAME:environment:NAME."
  }
}

variable "github_oidc_provider_arn" {
  description = "The account's identity provider for GitHub Actions, if it has one already; an account has only one."
  type        = string
  default     = null

  validation {
    condition = (
      var.github_oidc_provider_arn == null ||
      can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_oidc_provider_arn))
    )
    error_message = "The identity provider is null, or arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "state_bucket" {
  description = "The bucket with this configuration's state, as in environments/NAME.s3.tfbackend."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "The state's bucket is named in lower-case letters, digits, dots and hyphens."
  }
}

variable "state_key" {
  description = "The object with this configuration's state, as in environments/NAME.s3.tfbackend."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^/*?][^*?]*$", var.state_key))
    error_message = "The state's object is named in full, without wildcards."
  }
}
