// Package duckdb holds the tests that read parquet blocks with DuckDB, as anybody may. Nothing imports it.
package duckdb
