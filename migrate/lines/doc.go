// Package lines reads files of lines, whose samples come in any order, as a source of a backfill: text formats of Prometheus and exports of other databases.
package lines
