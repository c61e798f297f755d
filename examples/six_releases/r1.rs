//! The first release.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wal_db::{WalRecord, WalSchema};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        to: Address,
        lines: Vec<Line>,
    },
    Paid {
        order: Uuid,
        amount: Decimal,
        by: Method,
    },
    Shipped {
        order: Uuid,
        at: DateTime<Utc>,
        to: Address,
    },
    Cancelled {
        order: Uuid,
        reason: String,
    },
    CustomerChanged {
        customer: Uuid,
        name: Option<String>,
        mail: Option<String>,
    },
    Credited {
        customer: Uuid,
        amount: Decimal,
    },
    Debited {
        customer: Uuid,
        amount: Decimal,
    },
    CouponUsed {
        order: Uuid,
        code: String,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Address {
    pub(crate) street: String,
    pub(crate) city: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) count: u32,
    pub(crate) price: Decimal,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) enum Method {
    Cash,
    Card { last_digits: u16 },
}
