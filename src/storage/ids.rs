//! Ids as columns: queries bind and load the types of `domain::ids` instead of `i64`.
//!
//! The conversions live here because `domain` does not depend on diesel. Each id is stored as a
//! `BIGINT`, exactly like its number.

use diesel::deserialize::{self, FromSql, Queryable};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{BigInt, Nullable};
use diesel::sqlite::{Sqlite, SqliteValue};

use crate::domain::ids::{
    AccessTokenId, ChatId, FileId, LfsLockId, LfsObjectId, LoginId, MessageId, NotificationId, ProjectId,
    PushId, RepositoryId, UserId,
};

macro_rules! column {
    ($($id:ident),+ $(,)?) => {$(
        impl ToSql<BigInt, Sqlite> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                <i64 as ToSql<BigInt, Sqlite>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<BigInt, Sqlite> for $id {
            fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                <i64 as FromSql<BigInt, Sqlite>>::from_sql(value).map(Self)
            }
        }

        impl Queryable<BigInt, Sqlite> for $id {
            type Row = Self;

            fn build(id: Self) -> deserialize::Result<Self> {
                Ok(id)
            }
        }

        impl ToSql<BigInt, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <i64 as ToSql<BigInt, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<BigInt, Pg> for $id {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <i64 as FromSql<BigInt, Pg>>::from_sql(value).map(Self)
            }
        }

        impl Queryable<BigInt, Pg> for $id {
            type Row = Self;

            fn build(id: Self) -> deserialize::Result<Self> {
                Ok(id)
            }
        }

        column!(@bind $id, BigInt);
        column!(@bind $id, Nullable<BigInt>);
    )+};
    // Binds the number, so that the statement is the one that an `i64` makes.
    (@bind $id:ident, $sql_type:ty) => {
        impl AsExpression<$sql_type> for $id {
            type Expression = <i64 as AsExpression<$sql_type>>::Expression;

            fn as_expression(self) -> Self::Expression {
                <i64 as AsExpression<$sql_type>>::as_expression(self.0)
            }
        }

        impl AsExpression<$sql_type> for &$id {
            type Expression = <i64 as AsExpression<$sql_type>>::Expression;

            fn as_expression(self) -> Self::Expression {
                <i64 as AsExpression<$sql_type>>::as_expression(self.0)
            }
        }
    };
}

column!(
    AccessTokenId,
    ChatId,
    FileId,
    LfsLockId,
    LfsObjectId,
    LoginId,
    MessageId,
    NotificationId,
    ProjectId,
    PushId,
    RepositoryId,
    UserId,
);
