use wal_db::Wal;

fn append(wal: &Wal) -> wal_db::Result<()> {
    wal.append_typed(&7_u8)?;
    Ok(())
}

fn main() {}
