//! What the macros of the testing kit take.

use serde::{Deserialize, Serialize};
use wal_db::WalRecord;
use wal_db::testing::{check_history, check_lock};

mod shop {
    use super::*;

    #[derive(Serialize, Deserialize, WalRecord)]
    #[wal(name = "shop")]
    pub enum Shop {
        Opened(u64),
    }
}

fn a_module() {
    check_lock!(shop);
}

fn a_module_beside_a_type() {
    check_history!(shop::Shop, shop);
}

fn another_name() {
    check_lock!(Shopp);
}

fn a_name_of_the_log() {
    check_lock!("shop");
    check_history!("shop");
}

fn nothing() {
    check_lock!();
    check_history!();
}

fn a_variant() {
    check_lock!(shop::Shop::Opened);
}

fn main() {}
