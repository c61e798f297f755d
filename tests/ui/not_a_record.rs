use wal_db::Wal;

fn append(wal: &Wal) -> wal_db::Result<()> {
    wal.append_typed(&7_u8)?;
    Ok(())
}

fn read(wal: &Wal) -> wal_db::Result<()> {
    wal.typed::<u8>()?;
    Ok(())
}

fn checked() {
    wal_db::testing::check_history!(u8);
}

fn main() {}
