# Location

variable "region" {
  description = "The AWS region, for example eu-central-1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must have the form eu-central-1."
  }
}

variable "environment" {
  description = "The name of the environment. Resources are named orders-ENVIRONMENT."
  type        = string
  nullable    = false

  validation {
    # Load balancer names have at most 32 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.environment))
    error_message = "The environment must be 3 to 16 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen."
  }
}

variable "availability_zones" {
  description = "The availability zones to run in: two or three zones of the region."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(distinct(var.availability_zones)) >= 2 && length(var.availability_zones) <= 3
    error_message = "Two or three different availability zones are required, so that one may fail."
  }

  validation {
    condition     = alltrue([for zone in var.availability_zones : startswith(zone, var.region)])
    error_message = "The availability zones must belong to the region."
  }
}

variable "vpc_cidr" {
  description = "The IPv4 range of the VPC, with a prefix of 16 to 20 bits. Each zone gets three subnets of it."
  type        = string
  default     = "10.40.0.0/16"
  nullable    = false

  validation {
    condition = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))

    error_message = "The VPC's address range must be an IPv4 range with a prefix of 16 to 20 bits, such as 10.40.0.0/16."
  }
}

# Access

variable "certificate_arn" {
  description = "The ARN of the ACM certificate for the public name, in this region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$", var.certificate_arn))
    error_message = "The certificate must be an ACM ARN: arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "allowed_cidrs" {
  description = "The IPv4 ranges that may connect to the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for range in var.allowed_cidrs : can(cidrnetmask(range))])
    error_message = "At least one IPv4 range is required, and each must have the form 192.0.2.0/24."
  }
}

# Tasks

variable "image_digest" {
  description = "The digest of the image in this environment's registry: sha256:… Tags are rejected."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "The image must be a digest: sha256: and 64 hexadecimal digits. Tags are rejected because they can be moved."
  }
}

variable "cpu_architecture" {
  description = "The processor architecture of the image: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "The processor architecture must be X86_64 or ARM64."
  }
}

variable "task_cpu" {
  description = "The CPU units of a task, 1024 per vCPU: 512, 1024, 2048 or 4096."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([512, 1024, 2048, 4096], var.task_cpu)
    error_message = "The CPU units of a task must be 512, 1024, 2048 or 4096."
  }
}

variable "task_memory" {
  description = "The memory of a task in MiB: whole GiB, two to eight GiB per vCPU."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition = (
      var.task_memory % 1024 == 0 && var.task_memory <= 8 * var.task_cpu &&
      var.task_memory >= 2 * var.task_cpu
    )
    error_message = "The memory of a task must be whole GiB, with at least 2 MiB and at most 8 MiB per CPU unit: Fargate has no other sizes."
  }
}

variable "tasks_min" {
  description = "The minimum number of tasks. With two, one may fail or be replaced while the other serves."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.tasks_min >= 2 && floor(var.tasks_min) == var.tasks_min
    error_message = "At least 2 tasks are required, so that one may fail."
  }
}

variable "tasks_max" {
  description = "The maximum number of tasks for autoscaling."
  type        = number
  default     = 6
  nullable    = false

  validation {
    condition     = var.tasks_max >= var.tasks_min && var.tasks_max <= 50
    error_message = "The maximum number of tasks must be at least tasks_min and at most 50."
  }
}

variable "cpu_target_percent" {
  description = "The average CPU utilisation that autoscaling targets, in percent."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.cpu_target_percent >= 20 && var.cpu_target_percent <= 80
    error_message = "The CPU target must be 20 to 80 percent: a higher one leaves no reserve for the minutes that a task takes to start."
  }
}

variable "log_filter" {
  description = "The log filter of the host: the value of ORDERS_LOG."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    # The host refuses to start with any other.
    condition = alltrue([
      for part in split(",", var.log_filter) :
      can(regex("^\\s*((access|guest|orders_host(::[a-z_]+)*|wasmtime_wasi|wasmtime_wasi_http)=)?(?i:off|error|warn|info|debug|trace)\\s*$", part))
    ])
    error_message = "Each part of the log filter must be a level (off, error, warn, info, debug, trace) or TARGET=LEVEL. Examples: info, or warn,access=info."
  }

  validation {
    condition     = length([for part in split(",", var.log_filter) : part if length(regexall("=", part)) == 0]) <= 1
    error_message = "The log filter may have one level without a target."
  }
}

# Start and shutdown

variable "store_wait_seconds" {
  description = "How long a task that starts waits for a database that cannot be reached, in seconds: ORDERS_STORE_WAIT. A failover takes one or two minutes."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.store_wait_seconds >= 0 && var.store_wait_seconds <= 900 && floor(var.store_wait_seconds) == var.store_wait_seconds
    error_message = "The wait for the database must be a whole number of seconds, 0 to 900: a deployment must end within 20 minutes."
  }
}

variable "drain_delay_seconds" {
  description = "How long a task continues to accept requests after the stop signal, in seconds: ORDERS_DRAIN_DELAY."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.drain_delay_seconds >= 0 && floor(var.drain_delay_seconds) == var.drain_delay_seconds
    error_message = "The drain delay must be a whole number of seconds, at least 0."
  }
}

variable "drain_timeout_seconds" {
  description = "How long requests in flight may then take, in seconds: ORDERS_DRAIN_TIMEOUT."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.drain_timeout_seconds >= 1 && floor(var.drain_timeout_seconds) == var.drain_timeout_seconds
    error_message = "The drain timeout must be a whole number of seconds, at least 1."
  }
}

variable "stop_timeout_seconds" {
  description = "When ECS kills a task that has not exited, in seconds after the stop signal. At most 120 on Fargate."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.stop_timeout_seconds > var.drain_delay_seconds + var.drain_timeout_seconds
    error_message = "The stop timeout must exceed drain delay plus drain timeout. Otherwise tasks are killed while they drain."
  }

  validation {
    condition     = var.stop_timeout_seconds <= 120
    error_message = "The stop timeout must be at most 120 seconds, the maximum on Fargate."
  }
}

variable "deregistration_delay_seconds" {
  description = "How long the load balancer waits for requests to a deregistered task, in seconds. The task drains at least as long."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = (
      var.deregistration_delay_seconds >= 1 &&
      var.deregistration_delay_seconds <= var.drain_delay_seconds + var.drain_timeout_seconds
    )
    error_message = "The deregistration delay must be at least 1 second and at most drain delay plus drain timeout."
  }
}

# Database

variable "database_version" {
  description = "The major version of PostgreSQL. RDS installs minor versions in the maintenance window."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = contains(["16", "17"], var.database_version)
    error_message = "The PostgreSQL version must be 16 or 17."
  }
}

variable "database_instance_class" {
  description = "The RDS instance class of the database."
  type        = string
  default     = "db.t4g.medium"
  nullable    = false

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database_instance_class))
    error_message = "The instance class must have the form db.t4g.medium."
  }
}

variable "database_storage_gib" {
  description = "The initial storage of the database, in GiB."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.database_storage_gib >= 20
    error_message = "The storage must be at least 20 GiB, the minimum for gp3."
  }
}

variable "database_storage_max_gib" {
  description = "The limit up to which RDS extends the storage automatically, in GiB."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.database_storage_max_gib >= 1.1 * var.database_storage_gib
    error_message = "The storage limit must be at least 10 percent above the initial storage: RDS does not extend it by less."
  }
}

variable "database_backup_days" {
  description = "The backup retention in days. The database can be restored to any second of this period."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.database_backup_days >= 7 && var.database_backup_days <= 35
    error_message = "The backup retention must be 7 to 35 days."
  }
}

variable "database_ca_file" {
  description = "The path of the RDS certificate authorities in the image: sslrootcert in the database URL."
  type        = string
  default     = "/app/rds-ca.pem"
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.database_ca_file))
    error_message = "The file of RDS certificate authorities must be an absolute path in the image."
  }
}

variable "database_password" {
  description = "The new password. Set it only when raising database_password_version: see deploy/set-database-password. Never stored in the state."
  type        = string
  # RDS rejects this value because it is too short, so raising the version without a password changes nothing.
  default   = "unset"
  ephemeral = true
  sensitive = true
  nullable  = false

  validation {
    # The password becomes part of a URL.
    condition     = var.database_password == "unset" || can(regex("^[A-Za-z0-9]{32,128}$", var.database_password))
    error_message = "The database password must be 32 to 128 letters and digits."
  }
}

variable "database_password_version" {
  description = "The version of the database password. Raise it by one to set a new password."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.database_password_version >= 1 && floor(var.database_password_version) == var.database_password_version
    error_message = "The password version must be a whole number, at least 1."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer and the database are protected from deletion, and a final snapshot of the database is kept."
  type        = bool
  default     = true
  nullable    = false
}

# Logs and alarms

variable "log_retention_days" {
  description = "The log retention in days. The access log identifies callers."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "The log retention must be 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "alarm_emails" {
  description = "The e-mail addresses that receive alarms. Each has to confirm its subscription by e-mail."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for email in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "At least one valid e-mail address is required, so that someone sees the alarms."
  }
}

variable "latency_alarm_seconds" {
  description = "The p99 latency above which an alarm fires, in seconds."
  type        = number
  default     = 0.5
  nullable    = false

  validation {
    condition     = var.latency_alarm_seconds > 0 && var.latency_alarm_seconds <= 10
    error_message = "The latency alarm must be above 0 and at most 10 seconds, the request timeout of the host."
  }
}

# Pipeline

variable "github_subjects" {
  description = "The `sub` of the GitHub tokens that may deploy: repo:OWNER/NAME:environment:NAME, with ids for repositories created since July 2026."
  type        = list(string)
  nullable    = false

  validation {
    condition = length(var.github_subjects) > 0 && alltrue([
      for subject in var.github_subjects : can(regex("^repo:[^*?:]+/[^*?:]+:environment:[^*?:]+$", subject))
    ])
    error_message = "Each subject must be complete, without wildcards: repo:OWNER/NAME:environment:NAME."
  }
}

variable "github_oidc_provider_arn" {
  description = "The ARN of the account's identity provider for GitHub Actions, if it exists. An account can have only one; null creates it."
  type        = string
  default     = null

  validation {
    condition = (
      var.github_oidc_provider_arn == null ||
      can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_oidc_provider_arn))
    )
    error_message = "The identity provider must be null or arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "state_bucket" {
  description = "The bucket that holds this configuration's state, as in environments/NAME.s3.tfbackend."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "The state bucket must consist of lower-case letters, digits, dots and hyphens."
  }
}

variable "state_key" {
  description = "The object that holds this configuration's state, as in environments/NAME.s3.tfbackend."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^/*?][^*?]*$", var.state_key))
    error_message = "The state key must be complete, without wildcards."
  }
}
