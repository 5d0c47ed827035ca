//! Migrates the schema on PostgreSQL.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::PgConnection;
use crate::core::database::DatabaseError;
use crate::core::fail_points;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations-postgres");

/// Advisory lock of migrations: nodes that start together migrate one after the other.
const MIGRATION_LOCK: i64 = 0x6e65_7462_6974_0001;

#[derive(QueryableByName)]
struct Released {
    #[diesel(sql_type = Bool)]
    released: bool,
}

/// Migrates the schema to the current version, on a connection without time limits: another node
/// may hold the lock for as long as its migrations take. Returns the number of migrations that were
/// applied.
///
/// # Errors
/// [`DatabaseError::SchemaTooNew`] if a newer version has migrated the database.
pub fn migrate(db: &mut PgConnection) -> Result<usize, DatabaseError> {
    diesel::sql_query(format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).execute(db)?;
    let migrated = migrate_locked(db);
    let unlock = format!("SELECT pg_advisory_unlock({MIGRATION_LOCK}) AS released");
    let released: Released = diesel::sql_query(unlock).get_result(db)?;
    debug_assert!(released.released, "the lock was taken above");
    migrated
}

fn migrate_locked(db: &mut PgConnection) -> Result<usize, DatabaseError> {
    let known = embedded_versions()?;
    let applied = db.applied_migrations().map_err(DatabaseError::Migration)?;
    if let Some(stranger) = applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        return Err(DatabaseError::SchemaTooNew(stranger));
    }
    let pending = known.len().saturating_sub(applied.len());
    for _ in 0..pending {
        fail_points::reach(fail_points::BEFORE_MIGRATION);
        db.run_next_migration(MIGRATIONS).map_err(DatabaseError::Migration)?;
    }
    Ok(pending)
}

fn embedded_versions() -> Result<Vec<String>, DatabaseError> {
    use diesel::migration::MigrationSource;
    let migrations = MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS);
    let migrations = migrations.map_err(DatabaseError::Migration)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Returns the migrations that only the database has, and those that only this program has. Reads
/// only, and the database has been migrated before.
pub fn compare_migrations(db: &mut PgConnection) -> Result<(Vec<String>, Vec<String>), DatabaseError> {
    let applied = "SELECT CAST(version AS TEXT) AS version FROM __diesel_schema_migrations ORDER BY version";
    let applied: Vec<Applied> = diesel::sql_query(applied).load(db)?;
    let applied: Vec<_> = applied.into_iter().map(|row| row.version).collect();
    let known = embedded_versions()?;
    let pending = known.iter().filter(|version| !applied.contains(version)).cloned().collect();
    Ok((applied.into_iter().filter(|version| !known.contains(version)).collect(), pending))
}
