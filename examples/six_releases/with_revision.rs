//! The sixth release with `revision` 0.30, as far as that goes: `CustomerChanged` cannot become two events, and neither can
//! an event be retired and come back.

use chrono::{DateTime, Utc};
use revision::{Error, revisioned};
use rust_decimal::Decimal;
use uuid::Uuid;

#[revisioned(revision = 5)]
#[derive(Debug, PartialEq)]
pub(crate) enum Store {
    Placed {
        order: Uuid,
        at: DateTime<Utc>,
        #[revision(start = 2, default_fn = "web")]
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
    CustomerChanged {
        customer: Uuid,
        name: Option<String>,
        mail: Option<String>,
    },
    #[revision(end = 4, convert_fn = "credited")]
    Credited {
        customer: Uuid,
        amount: Decimal,
    },
    #[revision(end = 4, convert_fn = "debited")]
    Debited {
        customer: Uuid,
        amount: Decimal,
    },
    CouponUsed {
        order: Uuid,
        code: String,
        #[revision(start = 5)]
        saved: Decimal,
    },
    #[revision(start = 4)]
    CustomerRenamed {
        customer: Uuid,
        name: String,
    },
    #[revision(start = 4)]
    MailChanged {
        customer: Uuid,
        mail: String,
    },
    #[revision(start = 4)]
    Adjusted {
        customer: Uuid,
        by: Decimal,
    },
}

impl Store {
    fn web(_: u16) -> Result<String, Error> {
        Ok("web".into())
    }

    fn credited(old: StoreCreditedFields, _: u16) -> Result<Store, Error> {
        Ok(Store::Adjusted {
            customer: old.customer,
            by: old.amount,
        })
    }

    fn debited(old: StoreDebitedFields, _: u16) -> Result<Store, Error> {
        Ok(Store::Adjusted {
            customer: old.customer,
            by: -old.amount,
        })
    }
}

#[revisioned(revision = 2)]
#[derive(Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) street: String,
    #[revision(start = 2)]
    pub(crate) code: Option<String>,
    pub(crate) city: String,
}

#[revisioned(revision = 3)]
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) sku: String,
    #[revision(end = 3, convert_fn = "weigh")]
    pub(crate) count: u32,
    #[revision(start = 3)]
    pub(crate) amount: Decimal,
    pub(crate) price: Decimal,
    #[revision(start = 2)]
    pub(crate) tax: Decimal,
}

impl Line {
    fn weigh(&mut self, _: u16, count: u32) -> Result<(), Error> {
        self.amount = count.into();
        Ok(())
    }
}

#[revisioned(revision = 3)]
#[derive(Debug, PartialEq)]
pub(crate) enum Method {
    Cash,
    Card {
        last_digits: u16,
        #[revision(start = 3)]
        bank: Option<String>,
    },
    #[revision(start = 2)]
    Voucher {
        code: String,
    },
}
