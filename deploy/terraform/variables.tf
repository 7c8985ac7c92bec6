variable "bucket" {
  description = "Name of the S3 bucket that Varve's servers write to."
  type        = string
}

variable "zip" {
  description = "Path of the program as `make lambda` packs it, for the architecture below."
  type        = string
}

variable "name" {
  description = "Name of the function."
  type        = string
  default     = "varve"
}

variable "architecture" {
  description = "arm64 or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

variable "prefix" {
  description = "Where in the bucket, as in prefix= of the servers' bucket URL, with a slash at its end; empty for the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9_.=-]+/)*$", var.prefix))
    error_message = "The prefix ends with a slash, or is empty."
  }
}

variable "tenant" {
  description = "The only tenant that is answered; null lets each request name its own in X-Scope-OrgID."
  type        = string
  default     = null
}

variable "stream" {
  description = "Stream answers, so that they may be longer than 6 MB; without it long answers go to a scratch bucket."
  type        = bool
  default     = true
}

variable "memory" {
  description = "MB; 1769 is one whole CPU."
  type        = number
  default     = 1769
}

variable "timeout" {
  description = "Seconds that a query may take, a second for the answer included."
  type        = number
  default     = 60
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 14
}

variable "environment" {
  description = "Further VARVE_ settings, see docs/lambda.md."
  type        = map(string)
  default     = {}
}
