package db

import "github.com/jackc/pgx/v5/pgxpool"

// Pool lets tests look into the tables.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }
