use super::*;

fn field(label: &str) -> StoredField {
    StoredField {
        label: label.to_owned(),
        span: Span::call_site(),
        type_span: Span::call_site(),
        schema: quote!(&Shape::U64),
        has_steps: false,
    }
}

fn fields(labels: &[&str]) -> Contents {
    of_style(Style::Named, labels)
}

fn of_style(style: Style, labels: &[&str]) -> Contents {
    let fields = labels.iter().map(|label| field(label)).collect();
    Contents { style, fields }
}

fn order(version: u16, labels: &[&str]) -> Declared {
    Declared {
        name: "order".to_owned(),
        aliases: Vec::new(),
        version,
        span: Span::call_site(),
        id: None,
        is_variant: false,
        retired: false,
        contents: fields(labels),
        older: Vec::new(),
        from: None,
    }
}

/// The messages, one on each line, and the constants.
fn compared(file: &str, declared: &[Declared]) -> (String, String) {
    let mut errors = Errors::default();
    let krate = syn::parse_quote!(::wal_db);
    let asserts = compare(&krate, file, declared, Span::call_site(), &mut errors);
    let messages: Vec<_> = errors
        .into_error()
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .collect();
    (messages.join("\n"), asserts.to_string())
}

fn messages(file: &str, declared: Declared) -> String {
    compared(file, &[declared]).0
}

#[test]
fn what_is_released_is_no_mistake_and_its_types_are_compared() {
    let (messages, asserts) = compared(
        "order 1 {id: u64, note: option<str>}",
        &[order(1, &["id", "note"])],
    );
    assert_eq!(messages, "");
    for shape in ["u64", "option<str>"] {
        let fingerprint = shape.parse::<Shape>().expect("a shape").fingerprint();
        assert!(asserts.contains(&format!("{fingerprint}u64")), "{asserts}");
    }
    assert!(
        asserts.contains(
            "`order` version 1 is released with the field `note` as `option<str>`, and this is another type: \
             bring that back, or keep the released form as a struct `OrderV1` with `version = 1` \
             and write `version = 2, from = OrderV1` on the type"
        ),
        "{asserts}"
    );
}

#[test]
fn lines_of_other_types_are_passed_over() {
    let file = "orders 1 {other: u64}\norder.item 3 unit";
    assert_eq!(compared(file, &[order(1, &["id"])]), Default::default());
}

#[test]
fn a_field_that_was_added() {
    assert_eq!(
        messages("order 2 {id: u64}", order(2, &["id", "note"])),
        "`order` version 2 is released without the field `note`: \
         write `#[wal(since = 3, default)]` on it and `version = 3` on the type"
    );
    let mut since = order(3, &["id", "note"]);
    since.older = vec![(1, fields(&["id"])), (2, fields(&["id", "note"]))];
    assert_eq!(
        messages("order 1 {id: u64}\norder 2 {id: u64}", since),
        "`order` version 2 is released without the field `note`: write `#[wal(since = 3, default)]` on it"
    );
}

#[test]
fn a_field_that_was_removed() {
    assert_eq!(
        messages("order 2 {id: u64, note: str}", order(2, &["id"])),
        "`order` version 2 is released with the field `note`: bring it back, \
         or keep the released form as a struct `OrderV2` with `version = 2` \
         and write `version = 3, from = OrderV2` on the type"
    );
}

#[test]
fn a_field_that_was_renamed() {
    assert_eq!(
        messages("order 2 {id: u64, note: str}", order(2, &["id", "remark"])),
        "`order` version 2 is released with the field `note` in the place of `remark`: \
         write `#[serde(rename = \"note\")]` on it, or \
         keep the released form as a struct `OrderV2` with `version = 2` \
         and write `version = 3, from = OrderV2` on the type"
    );
}

#[test]
fn fields_in_another_order() {
    assert_eq!(
        messages(
            "order 2 {id: u64, note: str, n: u8}",
            order(2, &["id", "n", "note"])
        ),
        "`order` version 2 is released with its fields in the order `id`, `note`, `n`, in which they are stored: \
         write them in that order, or keep the released form as a struct `OrderV2` with `version = 2` \
         and write `version = 3, from = OrderV2` on the type"
    );
}

#[test]
fn an_earlier_version_is_not_undone_in_todays() {
    let since = |older: &[&str]| {
        let mut since = order(3, &["id", "note", "by"]);
        since.older = vec![(2, fields(older))];
        since
    };
    assert_eq!(
        messages("order 2 {id: u64, by: str}", since(&["id", "note"])),
        "`order` version 2 is released without the field `note`: write `#[wal(since = 3, default)]` on it\n\
         `order` version 2 is released with the field `by`: \
         write `since = 2` on it, or the earlier version that added it"
    );
    let keep_old = "keep the released form as a struct `OrderV2` with `version = 2` \
                    and write `version = 3, from = OrderV2` on the type";
    assert_eq!(
        messages("order 2 {id: u64, gone: str}", since(&["id"])),
        format!("`order` version 2 is released with the field `gone`: {keep_old}")
    );
    assert_eq!(
        messages("order 2 {note: u64, id: u64}", since(&["id", "note"])),
        format!(
            "`order` version 2 is released with its fields in the order `note`, `id`, in which they are stored: {keep_old}"
        )
    );
    let mut first = order(2, &["id", "note"]);
    first.older = vec![(1, fields(&["id"]))];
    assert_eq!(
        messages("order 1 {id: u64, note: str}", first),
        "`order` version 1 is released with the field `note`: remove its `since`"
    );
}

#[test]
fn a_field_that_is_wrong_in_every_version_is_one_mistake() {
    let mut since = order(2, &["id", "note", "n"]);
    since.older = vec![(1, fields(&["id", "note"]))];
    let messages = messages("order 1 {id: u64}\norder 2 {id: u64, n: u8}", since);
    assert_eq!(messages.lines().count(), 1, "{messages}");
    let (_, asserts) = compared(
        "order 1 {id: u64}\norder 2 {id: u64}",
        &[{
            let mut since = order(2, &["id"]);
            since.older = vec![(1, fields(&["id"]))];
            since
        }],
    );
    assert_eq!(asserts.matches("const _").count(), 1, "{asserts}");
}

#[test]
fn another_form() {
    let cases = [
        (of_style(Style::Unit, &[]), "{id: u64}", "a unit"),
        (of_style(Style::Tuple, &["0"]), "{id: u64}", "a tuple"),
        (fields(&["id"]), "(u64,)", "a struct with named fields"),
        (fields(&["id"]), "unit", "a struct with named fields"),
    ];
    for (contents, shape, what) in cases {
        let mut declared = order(1, &[]);
        declared.contents = contents;
        let messages = messages(&format!("order 1 {shape}"), declared);
        let expected =
            format!("`order` version 1 is released as `{shape}`, which is not {what}: bring that back");
        assert!(messages.starts_with(&expected), "{messages}");
    }
    let mut tuple = order(1, &[]);
    tuple.contents = of_style(Style::Tuple, &["0", "1"]);
    let added = messages("order 1 (u64,)", tuple);
    assert!(added.contains("without the field `1`"), "{added}");
}

#[test]
fn a_version_that_went_down() {
    let expected = "`order` is released up to version 3, so this cannot be version 2: \
                    write `version = 3` with the fields of that release, or `version = 4` with others";
    let file = "order 3 {id: u64, note: str}\norder 2 {id: u64}";
    assert_eq!(messages(file, order(2, &["id", "note"])), expected);
    let mut variant = order(2, &["id"]);
    variant.is_variant = true;
    assert_eq!(messages(file, variant), expected);
    // The same struct is what a later one is converted from.
    assert_eq!(messages(file, order(2, &["id"])), "");
    assert_eq!(messages(file, order(1, &["other"])), "");
}

#[test]
fn a_version_that_nothing_reads() {
    let file = "order 1 {id: u32}\norder 2 {id: u64}";
    assert_eq!(
        messages(file, order(2, &["id"])),
        "`order` version 1 is released and nothing reads it any more: \
         write `since` on the fields that were added after it, or keep the type as it was then, \
         `OrderV1` with `version = 1`, for a `from` that leads to it"
    );
    let mut from = order(2, &["id"]);
    from.from = Some((quote!(OrderV1), Span::call_site()));
    let (messages, asserts) = compared(file, &[from]);
    assert_eq!(messages, "");
    assert!(asserts.contains("reads (OrderV1 , 1u16)"), "{asserts}");
}

#[test]
fn ids() {
    let mut chosen = order(1, &["id"]);
    chosen.id = Some((7, Span::call_site()));
    assert_eq!(
        messages("bill 1 id=7 {id: u64}", chosen),
        "the type id 0x00000007 of `order` belongs to `bill` in `wal.lock`: \
         give the one that is in no log yet another id with `#[wal(id = N)]`"
    );
    assert_eq!(
        messages("order 1 id=7 {id: u64}", order(1, &["id"])),
        "`order` is released with the type id 0x00000007, under which its records are found: write `id = 7`"
    );
    let mut chosen = order(1, &["id"]);
    chosen.id = Some((7, Span::call_site()));
    let messages = messages("order 1 {id: u64}", chosen);
    assert!(messages.ends_with("write no `id`"), "{messages}");
}

#[test]
fn former_names_count() {
    let mut renamed = order(1, &["id", "note"]);
    renamed.aliases = vec!["purchase".to_owned()];
    let messages = messages("purchase 1 {id: u64}", renamed);
    assert!(
        messages.starts_with("`purchase` version 1 is released without the field `note`"),
        "{messages}"
    );
}

#[test]
fn a_retired_type_keeps_its_id_and_nothing_else() {
    let mut retired = order(1, &[]);
    retired.retired = true;
    assert_eq!(compared("order 3 {id: u64}", &[retired]), Default::default());
}

#[test]
fn lines_that_are_wrong() {
    assert_eq!(
        messages("order 1 {id: u64}\norder 1 {id: u32}", order(1, &["id"])),
        "`wal.lock` lines 1 and 2: `order` version 1 stands there twice, in two forms; remove the one that was not released"
    );
    assert_eq!(
        messages("# notes\norder x {id: u64}", order(1, &["id"])),
        "`wal.lock` line 2: a version from 1 to 65535 comes after the name"
    );
    // Another type's, and nobody's.
    assert_eq!(messages("bill x {id: u64}", order(1, &["id"])), "");
    let nobodys = messages("Bill 1 u8", order(1, &["id"]));
    assert!(
        nobodys.starts_with("`wal.lock` line 1: a name is made of"),
        "{nobodys}"
    );
    let merged = messages(
        "order 1 {id: u64}\n<<<<<<< ours\norder x\n=======",
        order(1, &["id"]),
    );
    assert!(
        merged.starts_with("`wal.lock` line 2: a merge has left its marks: keep"),
        "{merged}"
    );
    assert_eq!(merged.lines().count(), 1);
    // Both sides of a merge may have added the same version.
    assert_eq!(
        messages("order 1 {id: u64}\norder 1 {id: u64}", order(1, &["id"])),
        ""
    );
}
