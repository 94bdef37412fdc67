//! SBE by a schema of our own: bytes worked out by hand, earlier and later versions, and schemas
//! that are none.

use tickwire_market::sbe::{Decoded, Item, Message, Schema, WriteError, Writer};
use tickwire_market::{Value, wire::Float};

const EXAMPLE: &str = include_str!("golden/sbe.xml");

/// The root block of `Everything`, version 3, little-endian: 128 bytes by hand.
const ROOT: &[u8] = b"\x80\0\x02\0\x07\0\x03\0\
    \x01\0\0\0\0\0\0\0\
    \xff\xff\xff\xff\xff\xff\xff\xff\
    \x05\0\0\0\xfe\
    \xff\xff\xff\x7f\
    pad____\
    AB\0DEF\
    \0XYZ\
    2\
    \xff\
    \xff\
    \x01\x80\
    Z\
    \x01\0\xff\xff\x03\0\
    \0\0\xc0\x3f\
    \0\0\0\0\0\0\xf8\x7f\
    \xea\x07\x0c_1\x09\
    \x80\
    \0\0\0\0\0\0\0\0\
    \x07\0\0\0\
    and what a later version may add to it 1234";

/// Two entries, the first with an order and its note, then two constants and the data.
const TAIL: &[u8] = b"\x08\0_____\x02\
    \0\xca\x9a\x3b\0\0\0\0\x0c\0\x01\0\x09\0\0\0\0\0\0\0wide\x02hi\x01\0\x01\0\x05\x01c\
    \0\0\0\0\0\0\0\x80\x0c\0\0\0\x01\0\0\0\0\
    \0\0\x02\0\
    \x04text\x00";

fn example() -> Schema {
    Schema::parse(EXAMPLE).unwrap()
}

fn known<'a>(schema: &'a Schema, bytes: &'a [u8]) -> Message<'a> {
    match schema.decode(bytes) {
        Ok(Decoded::Known(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// All of a message as people would read it.
fn text(message: &Message<'_>) -> String {
    let mut text = String::new();
    let end = message.walk(|path, item| {
        let value = match item {
            Item::Field(field, value) => match field.enum_name(&value) {
                Some(name) => format!("{value}({name})"),
                None if field.set_names(&value).next().is_some() => {
                    let names: Vec<_> = field.set_names(&value).collect();
                    format!("{value}({})", names.join("|"))
                }
                None => value.to_string(),
            },
            Item::Group(_, count) => format!("*{count}"),
            Item::Data(_, bytes) => bytes.escape_ascii().to_string(),
        };
        text += &format!("{path}{}={value} ", item.name());
    });
    end.unwrap();
    text.trim_end().to_owned()
}

#[test]
fn a_message_by_hand_is_read() {
    let schema = example();
    let bytes = [ROOT, TAIL].concat();
    let message = known(&schema, &bytes);
    assert_eq!(
        text(&message),
        "transactTime=0.000000001 price=-0.000000001 decimal.mantissa=5 decimal.exponent=-2 \
         size=- symbol=AB other=- venue=XTKW side=2(Sell) constantSide=2(Sell) state=- \
         offset=-1(Before) flags=32769(First|Last) letter=Z ratios[0]=1 ratios[1]=-1 ratios[2]=3 \
         ratio=1.5 wide=- maturity.year=2026 maturity.month=12 maturity.side=1(Buy) \
         maturity.week=9 small=- sentTime=- later=7 entries=*2 \
         entries[0].entryPrice=1.000000000 entries[0].orders=*1 entries[0].orders[0].orderId=9 \
         entries[0].orders[0].note=hi entries[0].added=*1 entries[0].added[0].count=5 \
         entries[0].comment=c entries[1].entryPrice=- entries[1].orders=*0 entries[1].added=*0 \
         entries[1].comment= constants=*2 constants[0].where=XTKW constants[1].where=XTKW \
         text=text footnote="
    );
    let root = message.root();
    assert_eq!((root.version(), root.bytes().len()), (3, 128));
    assert_eq!(root.value_named("ratio"), Some(Value::Float(Float(1.5))));
    let entries = root.body().group("entries").unwrap();
    let orders = entries.body().group("orders").unwrap();
    let first = root.entries(entries).unwrap().next().unwrap().unwrap();
    let order = first.entries(orders).unwrap().next().unwrap().unwrap();
    assert_eq!(order.value_named("orderId"), Some(Value::Unsigned(9)));
    assert_eq!(root.data(root.body().data_named("text").unwrap()), Ok(Some(&b"text"[..])));
}

#[test]
fn names_ids_and_kinds_are_those_of_the_file() {
    let schema = example();
    assert_eq!((schema.id(), schema.version(), schema.package()), (7, 3, "tickwire.test"));
    assert_eq!((schema.header_len(), schema.templates().len()), (8, 2));
    let template = schema.template_by_name("Everything").unwrap();
    assert_eq!((template.id(), template.semantic_type()), (2, "X"));
    let field = template.body().field("price").unwrap();
    assert_eq!((field.id(), field.offset(), field.len()), (Some(44), 8, 8));
    let later = template.body().field("later").unwrap();
    assert_eq!((later.since_version(), later.is_constant()), (3, false));
    assert!(template.body().field("venue").unwrap().is_constant());
    assert!(schema.template(3).is_none() && schema.template_by_name("?").is_none());
}

/// What an earlier version does not have is not there, whatever bytes stand where it would be.
#[test]
fn messages_of_earlier_versions_end_earlier() {
    let schema = example();
    let mut root = ROOT.to_vec();
    root[6] = 1;
    let tail = b"\x08\0_____\x01\0\0\0\0\0\0\0\0\x0c\0\0\0\x00\0\0\0\0\0";
    let bytes = [&root[..], tail].concat();
    let read = text(&known(&schema, &bytes));
    let (front, back) = read.split_once("maturity.side").unwrap();
    assert!(front.contains("wide=-"), "{front}");
    assert_eq!(
        back,
        "=1(Buy) small=- sentTime=- entries=*1 entries[0].entryPrice=0.000000000 \
         entries[0].orders=*0 entries[0].comment= constants=*0 text="
    );
    // A block that ends early has no field behind its end, in any version.
    let mut short = ROOT[..8 + 16].to_vec();
    short[0] = 16;
    short.extend(TAIL);
    let read = text(&known(&schema, &short));
    assert!(read.starts_with("transactTime=0.000000001 price=-0.000000001 venue=XTKW"), "{read}");
    assert!(read.contains("constantSide=2(Sell) entries=*2"), "{read}");
}

#[test]
fn later_versions_are_skipped_by_their_lengths() {
    let schema = example();
    let mut bytes = [ROOT, b"0123456789"].concat();
    (bytes[0], bytes[6]) = (128 + 10, 9);
    let tail = b"\x0a\0_____\x01\0\0\0\0\0\0\0\0xx\x0d\0\x01\0\x09\0\0\0\0\0\0\0widex\x00\
        \x02\0\x01\0\x05x\0\
        \0\0\0\0\x00\x00and later data";
    bytes.extend(tail);
    let read = text(&known(&schema, &bytes));
    assert!(read.contains("entries[0].orders[0].orderId=9 entries[0].orders[0].note= "), "{read}");
    assert!(read.ends_with("entries[0].comment= constants=*0 text= footnote="), "{read}");
}

#[test]
fn unknown_templates_and_schemas_are_no_errors() {
    let schema = example();
    let unknown = |bytes: &[u8]| match schema.decode(bytes) {
        Ok(Decoded::Unknown { schema_id, template_id }) => (schema_id, template_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown(b"\xff\xff\x03\0\x07\0\x03\0"), (7, 3));
    assert_eq!(unknown(b"\xff\xff\x02\0\x08\0\x03\0"), (8, 2));
    assert_eq!(schema.decode(&ROOT[..7]).unwrap_err().reason(), "truncated");
}

/// Without this limit eight bytes could ask for 65 535 entries, and a datagram for millions.
#[test]
fn entries_without_bytes_are_few() {
    let schema = example();
    let tail = |count: &[u8; 2]| [ROOT, b"\x08\0_____\0", b"\0\0", count, b"\0\0"].concat();
    let walk = |bytes: &[u8]| known(&schema, bytes).walk(|_, _| {});
    assert_eq!(walk(&tail(b"\xff\0")), Ok(()));
    assert_eq!(walk(&tail(b"\0\x01")).unwrap_err().reason(), "length");
}

#[test]
fn what_may_not_stand_somewhere_is_refused() {
    let schema = example();
    let template = schema.template(2).unwrap();
    let body = template.body();
    let (entries, constants) = (body.group("entries").unwrap(), body.group("constants").unwrap());
    let mut buffer = [0; 8192];
    let mut writer = Writer::new(&mut buffer, &schema, template).unwrap();
    let place = |result: Result<(), WriteError>| matches!(result, Err(WriteError::Place(_)));
    let value = |result: Result<(), WriteError>| matches!(result, Err(WriteError::Value { .. }));
    let size = body.field("size").unwrap();
    assert!(value(writer.field(size, Value::Unsigned(1 << 31))));
    assert!(value(writer.field(size, Value::Text(b"1"))));
    assert!(value(writer.field(body.field("flags").unwrap(), Value::Null)));
    assert!(value(writer.field(body.field("symbol").unwrap(), Value::Text(b"SEVEN__"))));
    let price = body.field("price").unwrap();
    assert!(value(writer.field(price, Value::Price { raw: 1, decimals: 8 })));
    assert!(place(writer.entry(entries)));
    let order_id = entries.body().group("orders").unwrap().body().field("orderId").unwrap();
    assert!(place(writer.field(order_id, Value::Unsigned(1))));
    writer.group(constants).unwrap();
    assert!(place(writer.group(entries)), "its place is past");
    assert!(place(writer.field(size, Value::Unsigned(1))), "no entry was begun");
    let text = body.data_named("text").unwrap();
    assert!(matches!(writer.data(text, &[0; 256]), Err(WriteError::TooLarge(_))));
    writer.data(text, b"x").unwrap();
    assert!(place(writer.data(text, b"x")) && place(writer.group(constants)));
    let bytes = writer.finish().unwrap().to_vec();
    assert_eq!(bytes[136..], *b"\x08\0\0\0\0\0\0\0\0\0\0\0\x01x\0");
    let error = WriteError::Value { field: "size".into(), value: "Null".into() };
    assert_eq!(
        error.to_string(),
        "size does not take Null: it has another type, fewer digits, or no null"
    );
    let mut writer = Writer::new(&mut buffer, &schema, template).unwrap();
    writer.group(entries).unwrap();
    (0..255).for_each(|_| writer.entry(entries).unwrap());
    assert!(matches!(writer.entry(entries), Err(WriteError::TooLarge(_))));
}

/// `from` of the example replaced by `to`: what is said of it.
fn refused(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    Schema::parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn errors_name_line_cause_and_cure() {
    let cases = [
        ("littleEndian", "middle", "line 3: byteOrder='middle': write littleEndian or bigEndian"),
        (
            "type=\"Symbol\" ",
            "type=\"Simbol\" ",
            "line 75: the type Simbol is unknown: declare it in <types>, or use a primitive type",
        ),
        (
            "offset=\"32\"",
            "offset=\"24\"",
            "line 75: offset='24' lies within the field before, which ends at 25: fields may not \
             overlap",
        ),
        (
            "blockLength=\"128\"",
            "blockLength=\"80\"",
            "line 70: blockLength='80', and the fields end at 85: a block holds its fields, and \
             has at most 65535 bytes",
        ),
        (
            "name=\"other\"",
            "name=\"symbol\"",
            "line 76: symbol is declared twice: give each part a name of its own",
        ),
        (
            "id=\"2\"",
            "id=\"1\"",
            "line 3: Heartbeat and Everything have id 1: give each message an id of its own",
        ),
        (
            "Side.Sell",
            "Side.Hold",
            "line 79: valueRef='Side.Hold' names no value of an enum: write Enum.Name of a \
             declared enum",
        ),
        (
            ">2</validValue>",
            ">22222</validValue>",
            "line 50: '22222' is no value of Char, or out of its range: write a value that its \
             type can have",
        ),
        (
            "type name=\"schemaId\"",
            "type name=\"schemaIdd\"",
            "line 3: the composite messageHeader has no unsigned number schemaId: the \
             specification requires it",
        ),
        (
            "name=\"Ratios\"",
            "name=\"Symbol\"",
            "line 10: the type Symbol is declared twice: give each type a name of its own",
        ),
        ("length=\"3\"", "length=\"99999\"", "more than 65536 fields"),
        ("type=\"Side\" offset", "type=\"Maturity\" offset", "does one refer to itself?"),
        ("sbe:messageSchema", "sbe:schema", "must be well-formed XML"),
    ];
    for (from, to, expected) in cases {
        let error = refused(from, to);
        assert!(
            error == expected || error.ends_with(expected) || {
                !expected.starts_with("line") && error.contains(expected)
            },
            "{error}"
        );
    }
    let group = "<group name='g' id='1'>".repeat(9) + &"</group>".repeat(9);
    let heartbeat = "<sbe:message name=\"Heartbeat\" id=\"1\" semanticType=\"0\"/>";
    let message = format!("<sbe:message name='Deep' id='1'>{group}</sbe:message>");
    assert!(refused(heartbeat, &message).contains("groups are nested deeper than 8"));
    let misplaced = "<sbe:message name='M' id='1'><data name='d' id='1' type='VarText'/>\
        <field name='f' id='2' type='char'/></sbe:message>";
    let expected = "<field> may not stand here: fields come first, then groups, then data";
    assert!(refused(heartbeat, misplaced).ends_with(expected));
    assert!(Schema::parse("<a/>").unwrap_err().to_string().contains("the root element is <a>"));
}

/// Composites of composites double what they hold with each step: a table of all is refused.
#[test]
fn tables_stay_small() {
    let mut types =
        String::from("<composite name='c0'><type name='a' primitiveType='int8'/></composite>");
    for n in 1..9 {
        let refs = (0..20).map(|r| format!("<ref name='r{r}' type='c{}'/>", n - 1));
        types += &format!("<composite name='c{n}'>{}</composite>", refs.collect::<String>());
    }
    let schema = EXAMPLE.replacen("<types>", &format!("<types>{types}"), 1);
    let schema = schema.replacen("type=\"Symbol\" offset", "type=\"c7\" offset", 1);
    let error = Schema::parse(&schema).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 8") || error.contains("more than 65536"), "{error}");
}

#[test]
fn every_prefix_of_a_schema_is_refused() {
    let end = EXAMPLE.trim_end().len();
    for len in (0..end).step_by(7) {
        let error = Schema::parse(&EXAMPLE[..len]).unwrap_err();
        assert!(error.line >= 1 && !error.cure.is_empty());
    }
}
