//! The fifth release: coupons come back, and say what they save. Goods are sold by weight, so a count has become a
//! number with a fraction.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wal_db::{WalRecord, WalSchema, event::Retired};

#[derive(Debug, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "shop")]
pub(crate) enum Shop {
    #[wal(version = 4)]
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        #[wal(since = 2, default = "web")]
        channel: String,
        #[wal(changed(2))]
        to: Address,
        #[wal(changed(3, 4))]
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
    #[wal(alias = "cancelled")]
    Withdrawn {
        order: Uuid,
        reason: String,
    },
    #[wal(version = 2, from = CustomerChangedV1, split = changes)]
    CustomerChanged(Retired),
    CustomerRenamed {
        customer: Uuid,
        name: String,
    },
    MailChanged {
        customer: Uuid,
        mail: String,
    },
    #[wal(version = 2, from = CreditedV1)]
    Credited(Retired),
    #[wal(version = 2, from = DebitedV1)]
    Debited(Retired),
    Adjusted {
        customer: Uuid,
        by: Decimal,
    },
    #[wal(version = 2)]
    CouponUsed {
        order: Uuid,
        code: String,
        #[wal(since = 2, default)]
        saved: Decimal,
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
#[wal(version = 3, from = LineV2)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) amount: Decimal,
    pub(crate) price: Decimal,
    pub(crate) tax: Decimal,
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

#[derive(Serialize, Deserialize, WalSchema)]
#[wal(version = 2)]
struct LineV2 {
    sku: String,
    count: u32,
    price: Decimal,
    #[wal(since = 2, default)]
    tax: Decimal,
}

impl From<LineV2> for Line {
    fn from(old: LineV2) -> Self {
        Line {
            sku: old.sku,
            amount: old.count.into(),
            price: old.price,
            tax: old.tax,
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shop.customer_changed")]
struct CustomerChangedV1 {
    customer: Uuid,
    name: Option<String>,
    mail: Option<String>,
}

fn changes(old: CustomerChangedV1) -> impl Iterator<Item = Shop> {
    let customer = old.customer;
    let name = old.name.map(|name| Shop::CustomerRenamed { customer, name });
    let mail = old.mail.map(|mail| Shop::MailChanged { customer, mail });
    name.into_iter().chain(mail)
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shop.credited")]
struct CreditedV1 {
    customer: Uuid,
    amount: Decimal,
}

impl From<CreditedV1> for Shop {
    fn from(old: CreditedV1) -> Self {
        Shop::Adjusted {
            customer: old.customer,
            by: old.amount,
        }
    }
}

#[derive(Serialize, Deserialize, WalRecord)]
#[wal(name = "shop.debited")]
struct DebitedV1 {
    customer: Uuid,
    amount: Decimal,
}

impl From<DebitedV1> for Shop {
    fn from(old: DebitedV1) -> Self {
        Shop::Adjusted {
            customer: old.customer,
            by: -old.amount,
        }
    }
}
