//! What the sixth release would be if there had been no other.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wal_db::{WalRecord, WalSchema};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "store")]
pub(crate) enum Store {
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        channel: String,
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
    Withdrawn {
        order: Uuid,
        reason: String,
    },
    CustomerRenamed {
        customer: Uuid,
        name: String,
    },
    MailChanged {
        customer: Uuid,
        mail: String,
    },
    Adjusted {
        customer: Uuid,
        by: Decimal,
    },
    CouponUsed {
        order: Uuid,
        code: String,
        saved: Decimal,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Address {
    pub(crate) street: String,
    pub(crate) code: Option<String>,
    pub(crate) city: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) amount: Decimal,
    pub(crate) price: Decimal,
    pub(crate) tax: Decimal,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) enum Method {
    Cash,
    Voucher { code: String },
    Card { last_digits: u16, bank: Option<String> },
}
