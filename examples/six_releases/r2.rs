//! The second release: addresses have a code, one can pay with a voucher, and orders come by other ways than the web.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wal_db::{WalRecord, WalSchema};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    #[wal(version = 2)]
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        #[wal(since = 2, default = "web")]
        channel: String,
        #[wal(changed(2))]
        to: Address,
        lines: Vec<Line>,
    },
    #[wal(version = 2)]
    Paid {
        order: Uuid,
        amount: Decimal,
        #[wal(changed(2))]
        by: Method,
    },
    #[wal(version = 2)]
    Shipped {
        order: Uuid,
        at: DateTime<Utc>,
        #[wal(changed(2))]
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
#[wal(version = 2)]
pub(crate) struct Address {
    pub(crate) street: String,
    #[wal(since = 2, default)]
    pub(crate) code: Option<String>,
    pub(crate) city: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) count: u32,
    pub(crate) price: Decimal,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
pub(crate) enum Method {
    Cash,
    #[wal(since = 2)]
    Voucher {
        code: String,
    },
    Card {
        last_digits: u16,
    },
}
