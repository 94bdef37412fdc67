//! Messages of FIX by a dictionary: one of our own, and against what session scripts say is wrong.

mod common;

use common::corpus;
use common::injected::injected;
use common::scripts::scripts;
use tickwire_market::fix::dictionary::{Dictionary, Fault, Item, Section, Type};
use tickwire_market::fix::{BadField, Frames, Message, MessageBuilder, is_number};

const EXAMPLE: &str = include_str!("golden/fix.xml");

fn example() -> Dictionary {
    Dictionary::parse(EXAMPLE).unwrap()
}

/// A message of these fields, which are written `TAG=VALUE|…`; data come as `95+96=VALUE`.
fn message(msg_type: &str, fields: &str) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut builder = MessageBuilder::new(&mut buffer, "FIX.4.4", msg_type).unwrap();
    for field in fields.split('|').filter(|field| !field.is_empty()) {
        let (tag, value) = field.split_once('=').unwrap();
        match tag.split_once('+') {
            Some((length, tag)) => {
                let (length, tag) = (length.parse().unwrap(), tag.parse().unwrap());
                builder.data(length, tag, value.as_bytes()).unwrap();
            }
            None => {
                builder.field(tag.parse().unwrap(), value).unwrap();
            }
        }
    }
    builder.finish().to_vec()
}

fn framed(bytes: &[u8]) -> Message<'_> {
    Frames::new(bytes).next().unwrap().unwrap()
}

fn faults(msg_type: &str, fields: &str) -> Vec<String> {
    let bytes = message(msg_type, fields);
    let mut faults = Vec::new();
    example().walk(&framed(&bytes), |item| {
        if let Item::Fault(fault) = item {
            faults.push(format!("{fault:?}"));
        }
    });
    faults
}

const ORDER: &str = "34=2|11=a|55=INTC|54=1";

#[test]
fn a_message_is_read_by_name() {
    let bytes = message(
        "D",
        "34=2|11=a|55=INTC|453=2|448=X|452=3|802=1|523=sub|448=Y|54=2|18=1 2|95+96=a\x01b",
    );
    let (dictionary, mut text) = (example(), String::new());
    dictionary.walk(&framed(&bytes), |item| match item {
        Item::Field { field, definition, section, deep, entry } => {
            let definition = definition.unwrap();
            let name = definition.value_name(field.value).unwrap_or("-");
            let value = field.value.escape_ascii();
            let section = &format!("{section:?}")[..1];
            let place = if deep > 0 { format!("{deep}.{entry}") } else { "".into() };
            text += &format!("{section}{place} {}={value} {name}\n", definition.name());
        }
        Item::Fault(fault) => panic!("{fault}"),
    });
    assert_eq!(
        text,
        "H BeginString=FIX.4.4 -\nH BodyLength=85 -\nH MsgType=D -\nH MsgSeqNum=2 -\n\
         B ClOrdID=a -\nB Symbol=INTC -\nB NoPartyIDs=2 -\nB1.0 PartyID=X -\nB1.0 PartyRole=3 -\n\
         B1.0 NoPartySubIDs=1 -\nB2.0 PartySubID=sub -\nB1.1 PartyID=Y -\nB Side=2 SELL\n\
         B ExecInst=1 2 -\nB RawDataLength=3 -\nB RawData=a\\x01b -\nT CheckSum=030 -\n"
            .replace("030", std::str::from_utf8(framed(&bytes).get(10).unwrap()).unwrap())
    );
    assert_eq!(dictionary.check(&framed(&bytes)), Ok(()));
    assert_eq!(dictionary.begin_string(), "FIX.4.4");
    let order = dictionary.message(b"D").unwrap();
    assert_eq!((order.name(), order.is_admin(), order.has(523), order.has(112)), {
        ("NewOrder", false, true, false)
    });
    assert_eq!(dictionary.field_named("Side").unwrap().to_string(), "Side(54)");
    assert_eq!(dictionary.fields().len(), 20);
    assert_eq!(dictionary.messages().len(), 2);
    assert_eq!(Section::Header.max(Section::Trailer), Section::Trailer);
}

#[test]
fn a_message_is_printed_by_name() {
    let party = "453=2|448=X|802=2|523=a|523=b|448=Y";
    let bytes = message("D", &format!("{ORDER}|{party}|18=2|95+96=\x01|999=x"));
    let text = example().named(framed(&bytes)).to_string();
    let (text, check_sum) = text.split_once(" CheckSum=").unwrap();
    assert_eq!(check_sum.len(), 3);
    assert_eq!(
        text,
        "NewOrder BeginString=FIX.4.4 BodyLength=85 MsgType=D MsgSeqNum=2 ClOrdID=a Symbol=INTC \
         Side=1(BUY) NoPartyIDs=2 {PartyID=X NoPartySubIDs=2 {PartySubID=a} {PartySubID=b}} \
         {PartyID=Y} ExecInst=2(WORK) RawDataLength=1 RawData=\\x01 999=x"
    );
    let bytes = message("?", "453=1|448=X");
    let text = example().named(framed(&bytes)).to_string();
    assert!(text.starts_with("? BeginString=FIX.4.4"), "{text}");
}

#[test]
fn every_fault_is_named_once() {
    let with = |more: &str| faults("D", &format!("{ORDER}|{more}"));
    assert_eq!(with(""), [""; 0]);
    assert_eq!(with("999=x"), ["InvalidTagNumber(999)"]);
    assert_eq!(with("112=x"), ["TagNotDefined(112)"]);
    assert_eq!(with("38=+1"), ["IncorrectDataFormat(38)"]);
    assert_eq!(with("18=1 3"), ["ValueIncorrect(18)"]);
    assert_eq!(with("55=AAPL"), ["RepeatedTag(55)"]);
    assert_eq!(with("52=20261121-09:30:00"), ["OutOfOrder(52)"]);
    assert_eq!(with("89=x|38=1"), ["OutOfOrder(38)"]);
    assert_eq!(faults("D", "34=2|55=INTC|54=3"), ["ValueIncorrect(54)", "RequiredTagMissing(11)"]);
    assert_eq!(faults("?", "34=2|11=a|999=x"), ["InvalidMsgType", "InvalidTagNumber(999)"]);
    assert_eq!(with("453=1|448=X|452=1|452=2"), ["RepeatedTag(452)"]);
    assert_eq!(with("453=2|448=X"), ["GroupCount(453)"]);
    assert_eq!(with("453=1|448=X|448=Y"), ["GroupCount(453)"]);
    assert_eq!(with("453=0"), [""; 0]);
    assert_eq!(with("453=x"), ["IncorrectDataFormat(453)"]);
    assert_eq!(with("453=1|452=1|448=X"), ["GroupOrder(452)"]);
    assert_eq!(with("453=1|448=X|802=2|523=a|523=b|38=1"), [""; 0]);
    assert_eq!(with("453=1|448=X|802=2|523=a|38=1"), ["GroupCount(802)"]);
    assert_eq!(with("453=-1"), [""; 0], "a negative count is a number, and no group");
    let empty = message("D", ORDER);
    let empty = String::from_utf8(empty).unwrap().replace("55=INTC", "55=");
    let (body, _) = empty.split_once("10=").unwrap();
    let body = body.replacen("9=28", "9=24", 1);
    let sum = tickwire_market::fix::check_sum(body.as_bytes());
    let empty = format!("{body}10={sum:03}\x01");
    assert_eq!(example().check(&framed(empty.as_bytes())), Err(Fault::NoValue(55)));
}

#[test]
fn faults_are_ranked_as_a_session_asks() {
    let bytes = message("D", "34=2|38=x|55=INTC|54=1");
    assert_eq!(example().check(&framed(&bytes)), Err(Fault::RequiredTagMissing(11)));
    let fault = Fault::RequiredTagMissing(11);
    assert_eq!((fault.session_reject_reason(), fault.tag()), (1, Some(11)));
    assert_eq!(fault.to_string(), "required field 11 is missing: the peer must send it");
}

#[test]
fn a_session_of_another_dictionary() {
    let session = example();
    let text = EXAMPLE.replace("type='FIX' major='4' minor='4'", "type='FIX' major='5' minor='0'");
    let text = text.replace("msgtype='D'", "msgtype='E'").replace("Signature", "Seal");
    let application = Dictionary::parse(&text).unwrap();
    let both = application.over(&session);
    assert_eq!((both.begin_string(), both.messages().len()), ("FIX.4.4", 3));
    assert_eq!(both.field(89).unwrap().name(), "Signature");
    let bytes = message("E", ORDER);
    assert_eq!(both.check(&framed(&bytes)), Ok(()));
}

/// FIX 4.4 in the session of FIXT 1.1: what is new in its header is known, and what is gone is not.
#[test]
fn messages_over_fixt() {
    let Some(folder) = corpus("market/fix/spec", "messages_over_fixt") else { return };
    let read =
        |file| Dictionary::parse(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
    let both = read("FIX44.xml").over(&read("FIXT11.xml"));
    assert_eq!((both.begin_string(), both.messages().len()), ("FIXT.1.1", 93));
    let mut buffer = [0; 512];
    let mut builder = MessageBuilder::new(&mut buffer, "FIXT.1.1", "D").unwrap();
    let time = "20261121-09:30:00";
    let header = [(34, "2"), (49, "A"), (52, time), (56, "B"), (1128, "9")];
    for (tag, value) in header.into_iter().chain([(11, "id"), (54, "1"), (60, time), (40, "1")]) {
        builder.field(tag, value).unwrap();
    }
    let bytes = builder.finish().to_vec();
    let order = framed(&bytes);
    assert_eq!(both.check(&order), Ok(()));
    assert!(read("FIX44.xml").check(&order).is_err_and(|fault| fault.tag() == Some(1128)));
}

#[test]
fn errors_name_line_cause_and_cure() {
    let refused = |from: &str, to: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        Dictionary::parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert_eq!(
        refused("field name='ClOrdID'", "field name='ClOrdId'"),
        "line 14: the field ClOrdId is unknown: declare it in <fields>"
    );
    assert_eq!(
        refused("component name='Parties' required", "component name='Party' required"),
        "line 16: the component Party is unknown: declare it in <components>"
    );
    assert_eq!(
        refused("number='9'", "number='8'"),
        "line 1: BeginString(8) and BodyLength(8) have one number: give each field a number of \
         its own"
    );
    assert_eq!(
        refused("number='9'", "number='nine'"),
        "line 44: number='nine' is no number, or out of range: write a decimal number that fits"
    );
    let held = "<field name='Symbol' required='Y' /><component name='Instrument' required='N'/>";
    assert!(refused("<field name='Symbol' required='Y' />", held).contains("hold itself"));
    let held = "<group name='NoPartyIDs' required='N'><component name='Parties' required='N'/>\
        </group>";
    assert!(refused("<field name='PartyRole' required='N' />", held).contains("hold itself"));
    assert!(Dictionary::parse("<a/>").unwrap_err().to_string().contains("has <fix>"));
    for len in (0..EXAMPLE.trim_end().len()).step_by(11) {
        assert!(Dictionary::parse(&EXAMPLE[..len]).is_err());
    }
}

/// The reason and the tag of a Reject that a script expects for message `number`, where it is the
/// dictionary that says so; other Rejects are the session's business.
fn reject(line: &str, number: &str) -> Option<(u16, Option<String>)> {
    let fields: Vec<_> = line.split('\x01').filter_map(|field| field.split_once('=')).collect();
    let get = |wanted: &str| fields.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    if get("35") != Some("3") || get("45") != Some(number) {
        return None;
    }
    let tag = get("371").map(str::to_owned);
    let reason = match get("58")? {
        "Invalid tag number" => 0,
        // OrigSendingTime is required of what is sent again, which no dictionary says.
        "Required tag missing" if tag.as_deref() != Some("122") => 1,
        "Tag not defined for this message type" => 2,
        "Tag specified without a value" => 4,
        // Without a tag it is a sequence number that is out of range.
        "Value is incorrect (out of range) for this tag" if tag.is_some() => 5,
        "Incorrect data format for value" => 6,
        "Invalid MsgType" => 11,
        "Tag appears more than once" => 13,
        "Tag specified out of required order" => 14,
        "Incorrect NumInGroup count for repeating group" => 16,
        _ => return None,
    };
    Some((reason, tag))
}

/// A fault as a script has it.
fn as_rejected(fault: &Fault<'_>) -> (u16, Option<String>) {
    let tag = match fault {
        Fault::BadField(BadField::Tag(field)) => {
            std::str::from_utf8(field).unwrap().split('=').next().map(str::to_owned)
        }
        _ => fault.tag().map(|tag| tag.to_string()),
    };
    (fault.session_reject_reason(), tag)
}

/// What the scripts expect to be rejected for what the dictionary says is what we find, and nothing
/// else.
#[test]
fn the_scripts_say_which_messages_are_faulty() {
    let test = "the_scripts_say_which_messages_are_faulty";
    let (mut rejected, mut good) = (0, 0);
    for (version, file) in [("fix42", "FIX42.xml"), ("fix44", "FIX44.xml")] {
        let Some(folder) = corpus("market/fix/spec", test) else { return };
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let dictionary = Dictionary::parse(&text).unwrap();
        for (name, lines) in scripts(version, test).unwrap() {
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('I')) {
                let bytes = injected(&line[line.find("8=").unwrap_or(1)..]);
                let Some(Ok(message)) = Frames::new(bytes.as_bytes()).next() else { continue };
                let number = std::str::from_utf8(message.get(34).unwrap_or_default()).unwrap();
                let answers = lines[at + 1..].iter().take_while(|line| !line.starts_with('I'));
                let expected = answers.filter_map(|line| reject(line, number)).next();
                let found = dictionary.check(&message).err().map(|fault| as_rejected(&fault));
                assert_eq!(found, expected, "{version} {name}: {}", bytes.escape_debug());
                rejected += usize::from(found.is_some());
                good += usize::from(found.is_none());
            }
        }
    }
    assert_eq!((rejected, good), (58, 485));
}

/// Of every field that a dictionary of the specification has.
#[test]
fn fields_are_numbers_when_their_types_are() {
    let test = "fields_are_numbers_when_their_types_are";
    let Some(folder) = corpus("market/fix/spec", test) else { return };
    for name in ["FIX42.xml", "FIX44.xml", "FIXT11.xml"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let dictionary = Dictionary::parse(&text).unwrap();
        for field in dictionary.fields() {
            let expected = matches!(field.kind(), Type::Int | Type::Float);
            assert_eq!(is_number(field.tag()), expected, "{name}: {}", field.name());
        }
    }
}
