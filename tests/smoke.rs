//! smoke
use wal_db::*;

fn all(wal: &Wal) -> Vec<Vec<u8>> {
    wal.iter().unwrap().map(|r| r.unwrap().into_data()).collect()
}

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    for seg in [false, true] {
        let path = dir.path().join(format!("log{seg}"));
        let open = || {
            if seg {
                Wal::open_segmented(&path, 65536).unwrap()
            } else {
                Wal::open(&path).unwrap()
            }
        };
        let wal = open();
        assert!(wal.recovery().created);
        assert_eq!(wal.append(b"a").unwrap().get(), 0);
        wal.append_and_sync(b"b").unwrap();
        wal.append_batch(&[b"c", b"d"]).unwrap();
        assert_eq!(all(&wal), [b"a", b"b", b"c", b"d"]);
        let big = vec![7u8; 300_000];
        let l = wal.append(&big).unwrap();
        assert_eq!(wal.read(l).unwrap().data(), &big[..]);
        wal.append(b"e").unwrap();
        drop(wal);
        let wal = open();
        println!("{:?}", wal.recovery());
        assert!(wal.recovery().clean);
        assert_eq!(all(&wal).len(), 6);
        for i in 0..100_000u32 {
            wal.append(&i.to_le_bytes()).unwrap();
        }
        assert_eq!(all(&wal).len(), 100_006);
        let rev: Vec<_> = wal.iter_rev().unwrap().map(|r| r.unwrap().into_data()).collect();
        let mut fwd = all(&wal);
        fwd.reverse();
        assert!(rev == fwd);
        wal.truncate_after(l).unwrap();
        assert_eq!(all(&wal).len(), 5);
        wal.append(b"after").unwrap();
        assert_eq!(all(&wal).last().unwrap(), b"after");
        let rep = wal.verify().unwrap();
        assert!(rep.is_intact(), "{rep:?}");
        drop(wal);
        let wal = open();
        println!("{:?}", wal.recovery());
        assert_eq!(all(&wal).len(), 6);
        assert_eq!(wal.truncate_before(l).unwrap(), l);
        assert_eq!(all(&wal).len(), 2);
        assert_eq!(wal.record_count(), 2);
        assert_eq!(all(&wal.clone())[1], b"after");
    }
}
