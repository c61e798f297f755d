#!/usr/bin/env python3
"""Reads a log of wal-db as docs/format.md describes it, with nothing of the crate.

    wal_reader.py LOG... [--no-staging] [--snapshots]

prints a line of JSON for each record from the head of the log on,

    {"lsn": 0, "kind": "data", "more": false, "payload": "68656c6c6f"}

and at last one with the verdict: where the log ends, or at which position it is damaged, and which rules of the format
are broken by what is intact. A typed record has its envelope and its value as well ("type", "version", "codec", "meta",
"event", "value"), a schema record name and shape. Records that only the staging file has are marked "staged". The exit code is 0 for a log that is whole, 1 for damage, 2 for what is no log.

With --snapshots, there is a line for each snapshot beside the log as well, before the verdict: what is in it, or why
it is not to be used ("unusable").

It writes nothing, takes no lock, needs Python 3.8 and nothing else, and is the test of the document: it shares no line
with the crate. It is made to be read, not to be fast.
"""

import json
import os
import re
import struct
import sys
import zlib

SECTOR, HEADER, SLOT, SEGMENT_HEADER = 512, 64, 65_536, 4_096
MASK64 = 2**64 - 1
DATA, TYPED, SCHEMA, VOID, CLAIMED = 1, 2, 3, 4, 6
KINDS = {DATA: "data", TYPED: "typed", SCHEMA: "schema"}


class NotALog(Exception):
    """What is there is no log, or one of a version that this reader does not know."""


class Damage(Exception):
    """The log is damaged at a position of the stream (None: before the stream can be read)."""

    def __init__(self, at, why):
        super().__init__(why)
        self.at, self.why = at, why


# ---- Checksums ("Frames") -------------------------------------------------------------------------------------------


def mix(x):
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK64
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK64
    return x ^ (x >> 33)


def frame_key(log_id, epoch):
    a, b = struct.unpack("<QQ", log_id)
    return mix((mix((mix(a) + b) & MASK64) + epoch) & MASK64)


def place(key, pos, word):
    p = (key ^ pos) * (0xFF51AFD7ED558CCD ^ (word << 16))
    f = (p >> 64) ^ (p & MASK64)
    return (f >> 32) ^ (f & 0xFFFFFFFF)


def up(n, step):
    return (n + step - 1) // step * step


# ---- Manifest -------------------------------------------------------------------------------------------------------


class Manifest:
    """A slot that is valid."""

    def __init__(self, slot):
        (self.length,) = struct.unpack_from("<I", slot, 20)
        (self.version, self.reader_bits, self.writer_bits) = struct.unpack_from("<III", slot, 8)
        if self.version != 1 or self.reader_bits & ~1:
            raise NotALog(f"version {self.version}, feature bits {self.reader_bits:#x}: not known to this reader")
        self.log_id = slot[24:40]
        (self.generation, self.segment_size, self.head, self.head_group, self.head_ordinal, self.mark,
         self.mark_ordinal, self.mark_before, self.mark_chain, self.mark_epoch, self.newest_segment, self.forgotten,
         entries) = struct.unpack_from("<8QIIQQQ", slot, 40)
        if self.writer_bits & ~0b1011:
            raise NotALog(f"feature bits {self.writer_bits:#x} for writers: not known to this reader")
        extras = [bit for bit in (1, 2, 8) if self.writer_bits & bit]
        has_table = self.reader_bits & 1
        if not 1 <= entries <= 2048 or self.length != 140 + 24 * entries + 8 * len(extras) + 16 * has_table:
            raise Damage(None, "manifest: its length does not fit its timeline")
        self.timeline = [struct.unpack_from("<QQQ", slot, 136 + 24 * i) for i in range(entries)]
        at = 136 + 24 * entries
        values = dict(zip(extras, struct.unpack_from(f"<{len(extras)}Q", slot, at)))
        self.last_schema, self.staging_number = values.get(1), values.get(2, 0)
        self.dropped = values.get(8, self.head if self.head_ordinal else 0)
        self.table = struct.unpack_from("<QI", slot, at + 8 * len(extras)) if has_table else None

    def add_table(self, copies):
        """Puts the entries of the table of cuts, of which these copies are there, before the manifest's own."""
        if self.table is None:
            return
        count, checksum = self.table
        for raw in copies:
            length = 32 + 24 * count
            if raw[:24] != b"WALDBCUT" + self.log_id or len(raw) < length + 4:
                continue
            if struct.unpack_from("<Q", raw, 24)[0] == count and zlib.crc32(raw[:length]) == checksum \
                    and struct.unpack_from("<I", raw, length)[0] == checksum:
                older = [struct.unpack_from("<QQQ", raw, 32 + 24 * i) for i in range(count)]
                self.timeline = older + self.timeline
                return
        raise Damage(None, "neither copy of the table of cuts is the one that the manifest names")

    def epoch(self, pos):
        """The epoch that owns a position; None if that was forgotten."""
        if pos < self.forgotten:
            return None
        owners = [epoch for start, _, epoch in self.timeline if start <= pos]
        return owners[-1] if owners else None

    def epochs_around(self, pos):
        """The epochs of which one owns a position, or did before it was forgotten; the highest first."""
        before = [epoch for start, _, epoch in self.timeline if start <= pos]
        after = [epoch for start, _, epoch in self.timeline if start > pos]
        lowest, highest = before[-1] if before else 1, after[0] - 1 if after else self.newest_epoch()
        return range(highest, lowest - 1, -1)[: 1 << 20]

    def newest_epoch(self):
        return self.timeline[-1][2]

    def skip(self, pos):
        """Where the log goes on if a reader has come to `pos`."""
        for start, cut, _ in self.timeline:
            if cut <= pos < start:
                pos = start
        return pos

    def cut_in(self, begin, end):
        """Where what is kept of begin..end ends."""
        return min([cut for start, cut, _ in self.timeline if begin < cut < end and cut < start], default=end)


def slot_state(slot):
    """"empty", "bad" or "valid"."""
    if not any(slot):
        return "empty"
    if slot[:8] != b"WALDBMAN":
        return "bad"
    (length,) = struct.unpack_from("<I", slot, 20)
    if not 140 <= length <= SLOT or len(slot) < length:
        return "bad"
    (crc,) = struct.unpack_from("<I", slot, length - 4)
    return "valid" if crc == zlib.crc32(slot[: length - 4]) else "bad"


def choose_manifest(slots, has_segment_magic, is_empty):
    states = [slot_state(slot) for slot in slots]
    found = [Manifest(slot) for slot, state in zip(slots, states) if state == "valid"]
    if found:
        return max(found, key=lambda m: m.generation), states  # of equals the first one, slot 0
    if not has_segment_magic and not any(slot[:8] == b"WALDBMAN" for slot in slots):
        raise NotALog("neither manifest nor segment header has its magic")
    if is_empty and "empty" in states:
        raise NotALog("a log that was never finished being made")
    raise Damage(None, "both copies of the manifest are damaged")


# ---- Files ----------------------------------------------------------------------------------------------------------


def read_at(path, offset, length):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def files_at(*paths):
    """What is in those of the files that are there."""
    return [read_at(path, 0, -1) for path in paths if os.path.isfile(path)]


def check_segment(header, manifest, index):
    """What is wrong with a segment's header; None if nothing is."""
    if len(header) < 52 or header[:8] != b"WALDBSEG":
        return "has a damaged header"
    if zlib.crc32(header[:48]) != struct.unpack_from("<I", header, 48)[0]:
        return "has a damaged header"
    version, _, log_id, stored, size = struct.unpack_from("<II16sQQ", header, 8)
    if version != 1:
        raise NotALog(f"a segment of version {version}")
    if (log_id, stored, size) != (manifest.log_id, index, manifest.segment_size):
        return "belongs to another log or another place"
    return None


class OneFile:
    """A log in one file. `end` is where the stream ends as far as the file goes."""

    def __init__(self, path):
        self.path, self.staging_path, self.base = path, path + ".staging", 2 * SLOT + SEGMENT_HEADER
        self.state_path = path + ".state"
        slots = [read_at(path, 0, SLOT), read_at(path, SLOT, SLOT)]
        header = read_at(path, 2 * SLOT, SEGMENT_HEADER)
        self.end = os.path.getsize(path) - self.base
        if self.end < 0:
            raise NotALog("it is too short")
        self.manifest, self.slots = choose_manifest(slots, header[:8] == b"WALDBSEG", self.end == 0)
        if self.manifest.segment_size != 0:
            raise NotALog("its manifest is that of a directory")
        wrong = check_segment(header, self.manifest, 0)
        self.manifest.add_table(files_at(path + ".cuts-0", path + ".cuts-1"))
        if wrong and (any(header) or self.end > 0):
            raise Damage(0, "the file " + wrong)

    def read(self, pos, length):
        """The bytes from `pos` on, as many as are there in one piece."""
        return read_at(self.path, self.base + pos, length)

    def after_gap(self, _pos):
        return self.end


class Directory:
    """A log in a directory."""

    def __init__(self, path):
        self.path, self.staging_path, self.checked = path, os.path.join(path, "staging"), set()
        self.state_path = os.path.join(path, "state")
        try:
            slots = [read_at(os.path.join(path, "manifest"), at, SLOT) for at in (0, SLOT)]
            segments = [name for name in os.listdir(path) if re.fullmatch(r"\d{10,}\.seg", name)]
        except FileNotFoundError:
            if any(re.fullmatch(r"\d{10,}\.seg", name) for name in os.listdir(path)):
                raise Damage(None, "the manifest is missing") from None
            raise NotALog("a directory without a manifest") from None
        # Slots of zeros beside segments have been lost; other bytes without a magic are somebody else's.
        lost = bool(segments) and not any(any(slot) for slot in slots)
        self.manifest, self.slots = choose_manifest(slots, lost, not segments)
        self.size = self.manifest.segment_size
        if self.size == 0:
            raise NotALog("its manifest is that of a file")
        self.manifest.add_table(files_at(os.path.join(path, "cuts-0"), os.path.join(path, "cuts-1")))
        first, self.last = self.manifest.head_group // self.size, self.manifest.newest_segment
        if self.last == 0 and not segments:
            self.end = 0  # made, and nothing was ever appended
            return
        for index in range(first, self.last + 1):
            if not os.path.isfile(self.name(index)):
                raise Damage(index * self.size, f"segment {index} is missing")
        later = sorted(index for index in map(int, (name[:-4] for name in segments)) if index > self.last)
        for index in later:
            wrong = not os.path.isfile(self.name(index)) or \
                check_segment(read_at(self.name(index), 0, SEGMENT_HEADER), self.manifest, index)
            if wrong:
                raise NotALog(f"the name of segment {index} is somebody else's")
        for index in later:
            self.last += 1
            if index != self.last:
                raise Damage(self.last * self.size, f"segment {self.last} is missing")
        bytes_of_last = os.path.getsize(self.name(self.last)) - SEGMENT_HEADER
        self.end = self.last * self.size + max(0, min(self.size, bytes_of_last))

    def name(self, index):
        return os.path.join(self.path, f"{index:010}.seg")

    def read(self, pos, length):
        parts = []
        while length > 0 and pos < self.end:
            index, within = divmod(pos, self.size)
            if index not in self.checked:
                wrong = check_segment(read_at(self.name(index), 0, SEGMENT_HEADER), self.manifest, index)
                if wrong:
                    raise Damage(index * self.size, f"segment {index} {wrong}")
                self.checked.add(index)
            want = min(length, self.size - within)
            part = read_at(self.name(index), SEGMENT_HEADER + within, want)
            parts.append(part)
            if len(part) < want:
                break
            pos, length = pos + want, length - want
        return b"".join(parts)

    def after_gap(self, pos):
        """Where to read on if a segment is shorter than it should be."""
        return min(self.end, (pos // self.size + 1) * self.size)


# ---- Groups and frames ----------------------------------------------------------------------------------------------


class Group:
    """A header that is valid at its position."""

    def __init__(self, raw, pos):
        self.pos = pos
        (self.checksum, _, _, self.length, self.records, self.ordinal, self.epoch, self.chain, durable, previous,
         self.digest) = struct.unpack_from("<IIQIIQIIIII", raw, 0)
        self.zero_sectors = int.from_bytes(raw[52:55], "little")
        self.seal, self.has_schemas = bool(raw[55] & 1), bool(raw[55] & 2)
        (self.time,) = struct.unpack_from("<Q", raw, 56)
        self.durable = 0 if durable == 0xFFFFFFFF else max(0, pos - 512 * durable)
        self.previous = None if previous in (0, 0xFFFFFFFF) else pos - 512 * previous
        self.end = pos + self.length
        self.next = up(self.end, SECTOR)


def group_at(raw, pos, log_id):
    """The header in `raw` if it is valid at `pos`."""
    if len(raw) < HEADER or pos % SECTOR or raw[4:8] != b"\x47\x4f\x50\xf1":
        return None
    if struct.unpack_from("<I", raw, 0)[0] != zlib.crc32(log_id + struct.pack("<Q", pos) + raw[8:64]):
        return None
    group = Group(raw, pos)
    if struct.unpack_from("<Q", raw, 8)[0] != pos or group.length % 8 or group.length < HEADER:
        return None
    if group.ordinal > pos or group.records > group.length:
        return None
    return group


def frame_at(raw, offset, pos, key):
    """(kind, more, payload, length of the frame) if a frame is valid there, else None."""
    if len(raw) < offset + 8:
        return None
    checksum, word = struct.unpack_from("<II", raw, offset)
    length, kind, more = word & 0xFFFFFFF, word >> 28 & 7, bool(word >> 31)
    whole = up(8 + length, 8)
    if kind not in (DATA, TYPED, SCHEMA, VOID) or len(raw) < offset + whole:
        return None
    payload = raw[offset + 8 : offset + 8 + length]
    content = 0 if kind == VOID else zlib.crc32(payload)
    if checksum != content ^ place(key, pos, word) or (kind == VOID and more):
        return None
    return kind, more, payload, whole


class Opening:
    """Where the log ends ("Where the log ends"): from the mark on, over all groups that are intact."""

    def __init__(self, store):
        self.store, self.manifest = store, store.manifest
        m = self.manifest
        if store.end < m.mark:
            raise Damage(store.end, "the store ends before the mark")
        self.check_mark()
        self.pos, self.durable, self.last_schema = m.mark, m.mark, m.last_schema
        chain, ordinal, epoch = m.mark_chain, m.mark_ordinal, m.mark_epoch
        while True:
            group, self.why, self.torn = self.look(self.pos, chain, ordinal, epoch)
            if group is None:
                break
            if group.has_schemas:
                frames = frames_of(store.read(group.pos, group.length), group, m.log_id, group.end)
                self.last_schema = max([f[0] for f in frames if f[1] == SCHEMA], default=self.last_schema)
            self.pos, self.durable = group.next, max(self.durable, group.durable)
            chain, ordinal, epoch = group.checksum, group.ordinal + group.records, group.epoch
        self.durable = max(self.durable, self.later_headers())

    def check_mark(self):
        """The group before the mark is what the manifest says it is, if it is still there."""
        m = self.manifest
        if m.mark_before == m.mark or m.mark_before < m.head_group:
            return
        group = group_at(self.store.read(m.mark_before, HEADER), m.mark_before, m.log_id)
        if group is None or group.checksum != m.mark_chain or m.skip(group.next) != m.mark:
            raise Damage(m.mark_before, "the group before the mark is another one")

    def look(self, pos, chain, ordinal, epoch):
        """(the intact group at `pos`, why there is none, whether an interrupted write leaves that)"""
        raw = self.store.read(pos, SECTOR)
        if not any(raw):
            return None, "zeros" if raw else "the store ends", True
        if len(raw) < HEADER:
            return None, "the store ends inside a header", True
        group = group_at(raw, pos, self.manifest.log_id)
        if group is None:
            return None, "no valid header", False
        if (group.chain, group.ordinal) != (chain, ordinal) or group.epoch < epoch:
            return None, "a group that does not continue the one before", False
        if self.manifest.epoch(pos) not in (None, group.epoch):
            return None, "a group of another epoch", False
        whole = self.store.read(pos, group.next - pos)
        if len(whole) < group.next - pos:
            return None, "the store ends inside a group", True
        if zlib.crc32(whole[HEADER : group.length]) != group.digest:
            zeros = sum(not any(whole[at : at + SECTOR]) for at in range(0, len(whole), SECTOR))
            return None, "the digest of a group does not match", zeros > group.zero_sectors
        return group, None, False

    def later_headers(self):
        """The highest durable position that a header of the newest epoch at or after the end names."""
        newest, durable, pos = self.manifest.newest_epoch(), 0, self.pos
        while pos < self.store.end:
            raw = self.store.read(pos, 1 << 20)
            for at in range(0, len(raw), SECTOR):
                group = group_at(raw[at : at + SECTOR], pos + at, self.manifest.log_id)
                if group and group.epoch == newest:
                    durable = max(durable, group.durable)
            pos = pos + len(raw) if len(raw) == 1 << 20 else self.store.after_gap(pos + len(raw))
        return durable


def frames_of(body, group, log_id, end):
    """Yields (position, kind, more, payload) up to `end`; raises `Damage` at the first frame that is not intact."""
    key, pos = frame_key(log_id, group.epoch), group.pos + HEADER
    while pos < end:
        frame = frame_at(body, pos - group.pos, pos, key)
        if frame is None or pos + frame[3] > group.end:
            raise Damage(pos, "a frame is damaged")
        yield pos, *frame[:3]
        pos += frame[3]


def all_intact(frames):
    try:
        return all(True for _ in frames)
    except Damage:
        return False


class Rules:
    """The rules for who writes that no checksum guards ("Groups", "Frames"). `broken` has [position of the group, rule]."""

    def __init__(self, manifest):
        self.m, self.broken, self.before = manifest, [], None

    def look(self, group, whole, frames, cut):
        """At an intact group: its bytes with the padding, its frames that are kept, and whether others were cut off."""
        m, before, bare = self.m, self.before, group.length == HEADER
        kinds = [kind for _, kind, _, _ in frames]
        records = sum(kind in (DATA, TYPED) for kind in kinds)
        follows = kinds[1:] + [None]
        batches = [kind == after for (_, kind, more, _), after in zip(frames, follows) if more and (after or not cut)]
        padding = [whole[pos + 8 + len(payload) - group.pos : up(pos + 8 + len(payload), 8) - group.pos]
                   for pos, kind, _, payload in frames if kind != VOID]
        padding += [] if cut else [whole[group.length :]]
        zeros = sum(not any(whole[at : at + SECTOR]) for at in range(0, len(whole), SECTOR))
        first = group.pos == m.head_group
        kept = {
            "record count": cut or group.records == records,
            "ordinal": before is None or group.ordinal == before[1],
            "head ordinal": not first
            or m.head_ordinal == group.ordinal + sum(k in (DATA, TYPED) and f[0] < m.head for f, k in zip(frames, kinds)),
            "head": not first or cut or bare or any(frame[0] == m.head for frame in frames),
            "seal": not group.seal or (bare and group.records == 0 and group.durable == group.pos),
            "schema flag": cut or group.has_schemas == (SCHEMA in kinds),
            "batch": all(batches),
            "padding": not any(any(part) for part in padding),
            "zero sectors": cut or zeros == group.zero_sectors,
            "previous distance": before is None or group.previous in (None, before[0].pos),
            "epoch": before is None or group.epoch >= before[0].epoch,
        }
        self.broken += [[group.pos, rule] for rule, is_kept in kept.items() if not is_kept]
        self.before = group, group.ordinal + records


def frames_of_log(store, end, rules=None):
    """The frames from the head group on, up to the end of the log or to a `Damage`."""
    m, pos, chain = store.manifest, store.manifest.head_group, None
    rules = rules or Rules(m)
    while (pos := m.skip(pos)) < end:
        group = group_at(store.read(pos, HEADER), pos, m.log_id)
        if group is None:
            raise Damage(pos, "no valid header")
        if m.epoch(pos) not in (None, group.epoch) or chain not in (None, group.chain) or group.next > end:
            raise Damage(pos, "a group that does not continue the one before")
        body, kept = store.read(pos, group.length), m.cut_in(pos, group.end)
        if zlib.crc32(body[HEADER:]) != group.digest and all_intact(frames_of(body, group, m.log_id, group.end)):
            raise Damage(pos, "bytes of another state of the log")
        frames = []
        for frame in frames_of(body, group, m.log_id, kept):
            frames.append(frame)
            yield frame
        if zlib.crc32(body[HEADER:]) == group.digest:
            rules.look(group, store.read(pos, group.next - pos), frames, kept < group.end)
        else:
            rules.before = None
        pos, chain = group.next, group.checksum


# ---- Typed records and schemas --------------------------------------------------------------------------------------


class Malformed(Exception):
    pass


def varint(raw, at, bits):
    value = shift = 0
    while True:
        if at >= len(raw):
            raise Malformed("a varint ends too early")
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if value >> bits or (byte == 0 and shift > 7):
        raise Malformed("a varint is too large, or not in its shortest form")
    return value, at


def metadata(raw):
    sizes = {1: 8, 2: 16, 3: 16, 4: 8, 7: 2, 8: 8, 9: 16, 10: 16}
    names = {1: "time", 2: "id", 3: "correlation", 4: "causation", 5: "stream", 7: "nanoseconds", 8: "stream", 9: "stream", 10: "command"}
    meta, tags, others, at, last = {}, [], [], 0, 0
    while at < len(raw):
        key = raw[at]
        length, at = varint(raw, at + 1, 32)
        value, at = raw[at : at + length], at + length
        if at > len(raw) or key == 0 or key < last or (key == last and key != 6 and not 11 <= key <= 127):
            raise Malformed("metadata")
        if len(value) != sizes.get(key, len(value)):
            raise Malformed("metadata: the size of a value")
        if key == 7 and int.from_bytes(value, "little") >= 1000:
            raise Malformed("metadata: a microsecond has 1,000 nanoseconds")
        last = key
        if key in (5, 6):
            value = value.decode("utf-8")
        if key == 6:
            tags.append(value)
        elif key in (1, 4, 7, 8):
            meta.setdefault(names[key], int.from_bytes(value, "little", signed=key == 1))
        elif key in names:
            meta.setdefault(names[key], value if key == 5 else value.hex())
        else:
            others.append([key, value.hex()])
    return {**meta, **({"tags": tags} if tags else {}), **({"others": others} if others else {})}


def envelope(raw):
    if len(raw) < 2 or raw[0] & 0xFE != 0xE0:
        raise Malformed("another layout of the envelope")
    typed = {"codec": raw[1]}
    if raw[1] == 0:
        raise Malformed("codec 0")
    typed["type"], at = varint(raw, 2, 32)
    typed["version"], at = varint(raw, at, 16)
    if typed["version"] == 0:
        raise Malformed("version 0")
    if raw[0] & 1:
        length, at = varint(raw, at, 32)
        if at + length > len(raw):
            raise Malformed("metadata is longer than the record")
        typed["meta"] = metadata(raw[at : at + length])
        at += length
    typed["event"] = raw[at:].hex()
    return typed


def schema(raw):
    if len(raw) < 17:
        raise Malformed("a schema record is too short")
    link, value, type_id, version, length = struct.unpack_from("<BQIHH", raw, 0)
    if 17 + length > len(raw) or link > 3:
        raise Malformed("a schema record")
    return {"link": link, "value": value, "type": type_id, "version": version,
            "name": raw[17 : 17 + length].decode("utf-8"), "shape": raw[17 + length :].decode("utf-8")}


def describe(pos, kind, more, payload, shapes=None):
    record = {"lsn": pos - HEADER, "kind": KINDS[kind], "more": more, "payload": payload.hex()}
    try:
        if kind == TYPED:
            record.update(envelope(payload))
            record["value"] = event_value(record, shapes or {})
        elif kind == SCHEMA:
            record.update(schema(payload))
    except (Malformed, UnicodeDecodeError, ValueError) as error:
        record["malformed"] = str(error)
    return record


def epochs_of(store, pos, first):
    """The epochs that a frame can have which lies in what is there from `first` on."""
    m = store.manifest
    if m.epoch(pos) is not None:
        return [m.epoch(pos)]
    for at in range(pos // SECTOR * SECTOR, first - 1, -SECTOR):
        group = group_at(store.read(at, HEADER), at, m.log_id)
        if group:
            return [group.epoch] if group.end > pos else []
    return m.epochs_around(pos)


def schemas(store, pos):
    """The schema records from the last one back, by their links."""
    found, m = [], store.manifest
    window = m.segment_size or 16 << 20
    first = m.head_group // window * window
    while pos is not None and pos >= first:
        length = int.from_bytes(store.read(pos + 4, 4), "little") & 0xFFFFFFF
        raw = store.read(pos, up(8 + length, 8))
        frames = (frame_at(raw, 0, pos, frame_key(m.log_id, epoch)) for epoch in epochs_of(store, pos, first))
        frame = next((frame for frame in frames if frame), None)
        if frame is None or frame[0] != SCHEMA:
            raise Damage(pos, "a schema record is not where it should be")
        entry = schema(frame[2])
        found.append(entry)
        pos = {0: None, 1: pos - entry["value"], 2: entry["value"], 3: None}[entry["link"]]
    return found[::-1]


# ---- Shapes and values ("Shapes", "Codecs") -------------------------------------------------------------------------

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9_]+|[\[\](){}<>:;,=@])')
ESCAPES = {'\\\\': "\\", '\\"': '"', "\\n": "\n"}


class ShapeText:
    """A shape as tuples: ("u8",), ("option", shape), ("struct", [(name, shape)]), ("enum", [(name, kind, shape)])..."""

    def __init__(self, text):
        self.tokens, self.at = TOKEN.findall(text), 0
        self.around, self.bodies = [], []  # the types around this place, as (name, index into the bodies of all)

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.peek()
        if not token or expected not in (None, token):
            raise Malformed(f"a shape: {expected!r} is missing")
        self.at += 1
        return token

    def name(self):
        token = self.take()
        return re.sub(r"\\.", lambda m: ESCAPES[m[0]], token[1:-1]) if token[0] == '"' else token

    def items(self, close, item):
        """Items with commas between them, and whether a comma stood at the end."""
        found, comma = [], False
        while self.peek() != close:
            found.append(item())
            comma = self.peek() == ","
            if comma:
                self.take()
        self.take(close)
        return found, comma

    def field(self):
        name = self.name()
        self.take(":")
        return name, self.shape()

    def variant(self):
        name = self.name()
        if self.peek() == "(":
            self.take()
            shapes, comma = self.items(")", self.shape)
            single = len(shapes) == 1 and not comma
            return name, shapes[0] if single else ("tuple", shapes)
        if self.peek() == "{":
            return name, self.shape()
        return name, None

    def shape(self):
        token = self.take()
        if token == "[":
            inner = self.shape()
            if self.take() == ";":
                count = int(self.take())
                self.take("]")
                return "tuple", [inner] * count
            return "seq", inner
        if token == "(":
            return "tuple", self.items(")", self.shape)[0]
        if token == "{":
            return "struct", self.items("}", self.field)[0]
        if token == "@":
            name = self.name()
            found = next((body for other, body in reversed(self.around) if other == name), None)
            if found is None:
                raise Malformed(f"a shape: no type around it is called {name!r}")
            return "ref", found
        if token == "rec":
            body = len(self.bodies)
            self.around.append((self.name(), body))
            self.bodies.append(None)
            self.bodies[body] = self.shape()
            self.around.pop()
            return self.bodies[body]
        if token == "opaque":
            name = self.name()
            if self.peek() == "=":
                self.take()
                return self.shape()
            return "opaque", name
        if token == "enum":
            self.take("{")
            return "enum", self.items("}", self.variant)[0]
        if token in ("option", "map"):
            self.take("<")
            inner = self.shape()
            if token == "map":
                self.take(",")
                inner = inner, self.shape()
            self.take(">")
            return token, inner
        return (token,)


class Wire:
    """Reads values of known shapes in bincode (codec 1) or postcard (codec 2)."""

    def __init__(self, raw, postcard, bodies):
        self.raw, self.at, self.postcard, self.bodies = raw, 0, postcard, bodies

    def bytes(self, length):
        if length > len(self.raw) - self.at:
            raise Malformed("an event ends too early")
        self.at += length
        return self.raw[self.at - length : self.at]

    def unsigned(self):
        if self.postcard:
            value, self.at = varint(self.raw, self.at, 128)
            return value
        first = self.bytes(1)[0]
        return first if first < 251 else int.from_bytes(self.bytes(1 << first - 250), "little")

    def number(self, signed, bits):
        if bits == 8:
            return int.from_bytes(self.bytes(1), "little", signed=signed)
        value = self.unsigned()
        return value >> 1 ^ -(value & 1) if signed else value

    def char(self):
        if self.postcard:
            return self.bytes(self.unsigned()).decode("utf-8")
        first = self.bytes(1)
        return (first + self.bytes((first[0] >= 0xC0) + (first[0] >= 0xE0) + (first[0] >= 0xF0))).decode("utf-8")

    def value(self, shape):
        kind, inner = shape[0], shape[-1]
        if re.fullmatch(r"[ui](8|16|32|64|128)", kind):
            return self.number(kind[0] == "i", int(kind[1:]))
        if kind == "unit":
            return None
        if kind == "bool":
            return self.bytes(1) == b"\1"
        if kind in ("f32", "f64"):
            return struct.unpack("<f" if kind == "f32" else "<d", self.bytes(int(kind[1:]) // 8))[0]
        if kind == "char":
            return self.char()
        if kind == "str":
            return self.bytes(self.unsigned()).decode("utf-8")
        if kind == "bytes":
            return list(self.bytes(self.unsigned()))
        if kind == "option":
            return self.value(inner) if self.bytes(1) == b"\1" else None
        if kind == "seq":
            return [self.value(inner) for _ in range(self.unsigned())]
        if kind == "tuple":
            return [self.value(item) for item in inner]
        if kind == "struct":
            return {name: self.value(item) for name, item in inner}
        if kind == "map":
            return {key if isinstance(key, str) else json.dumps(key): self.value(inner[1])
                    for key in (self.value(inner[0]) for _ in range(self.unsigned()))}
        if kind == "enum":
            name, content = inner[self.unsigned()]
            return name if content is None else {name: self.value(content)}
        if kind == "ref":
            return self.value(self.bodies[inner])
        raise Malformed(f"nothing says what is written for {inner!r}")


def event_value(record, shapes):
    """The event of a typed record as JSON has it; None if it cannot be read without its program."""
    raw = bytes.fromhex(record["event"])
    if record["codec"] == 3:
        return json.loads(raw)
    text = shapes.get((record["type"], record["version"]))
    if text is None or record["codec"] not in (1, 2):
        return None
    parser = ShapeText(text)
    shape = parser.shape()
    wire = Wire(raw, record["codec"] == 2, parser.bodies)
    value = wire.value(shape)
    if wire.at != len(raw):
        raise Malformed("bytes are left over after an event")
    return value


# ---- Positions and snapshots ----------------------------------------------------------------------------------------


def why_not_held(raw, store, end):
    """Why the log, which ends at `end`, does not hold a position; None if it does."""
    log_id, lsn, part, epoch, group, checksum, read_to, crc = struct.unpack("<16sQIIQIQI", raw)
    m, p = store.manifest, lsn + HEADER
    cuts = [entry for entry in m.timeline if entry[1] < entry[0]]
    if crc != zlib.crc32(b"wal-db position 1" + raw[:52]):
        return "damaged position"
    if log_id != m.log_id:
        return "another log"
    if lsn > end:
        return "beyond the end"
    if p < m.dropped:
        return "dropped"
    if epoch > m.newest_epoch():
        return "another history"
    if group != MASK64:
        gone = [owner for start, cut, owner in cuts if cut <= group < start]
        if gone:
            held = gone[0] > epoch
        elif group >= m.head_group:
            found = group_at(store.read(group, HEADER), group, m.log_id) if group < end else None
            held = found is not None and found.checksum == checksum
        else:
            if m.head_group == m.mark:
                before, chain = m.mark_before, m.mark_chain
            else:
                head = group_at(store.read(m.head_group, HEADER), m.head_group, m.log_id)
                before, chain = (head.previous, head.chain) if head else (None, 0)
            held = (m.epoch(group) or 0) <= epoch and (before != group or chain == checksum)
        if not held:
            return "another history"
    if part == 0:
        later = [cut for start, cut, _ in cuts if start >= lsn]
        is_cut = later and later[0] < read_to
    else:
        later = [cut for start, cut, _ in cuts if start > p]
        is_cut = later and later[0] <= p
    return "cut" if is_cut else None


def snapshot(name, raw, store, end):
    """What is in the file of a snapshot; raises `Malformed` if it is not to be used."""
    if len(raw) < 128 or raw[:8] != b"WALDBSNP":
        raise Malformed("no header of a snapshot")
    version, features, position, next_lsn, last, events, time, name_length, schema_length, length, revision = \
        struct.unpack_from("<II56sQQQqIIQI", raw, 8)
    at = 128 + name_length + schema_length
    header, stored = raw[:at], raw[at : at + 4]
    if stored != struct.pack("<I", zlib.crc32(header)):
        raise Malformed("a damaged header")
    if version != 1 or features != 0:
        raise Malformed("another version")
    state, at, index = b"", at + 4, 0
    while len(state) < length:
        chunk = raw[at + 4 : at + 4 + min(1 << 20, length - len(state))]
        if not chunk or raw[at : at + 4] != struct.pack("<I", zlib.crc32(stored + struct.pack("<Q", index) + chunk)):
            raise Malformed("a damaged chunk")
        state, at, index = state + chunk, at + 4 + len(chunk), index + 1
    if len(state) != length or at != len(raw):
        raise Malformed("another length")
    own = header[128 : 128 + name_length].decode("utf-8")
    if name != f"{own}.{next_lsn:020}.snap":
        raise Malformed("another name")
    why = why_not_held(position, store, end)
    if why:
        raise Malformed(why)
    shapes, typed = {}, envelope(state)
    if schema_length:
        described = schema(bytes(9) + header[128 + name_length :])
        shapes[described["type"], described["version"]] = described["shape"]
    return {"name": own, "revision": revision, "next": next_lsn, "last": None if last == MASK64 else last,
            "events": events, "time": None if time == -(2**63) else time, "payload": state.hex(), **typed,
            "value": event_value(typed, shapes)}


def snapshots(store, end):
    """A line for each file of a snapshot, in the order of their names."""
    names = os.listdir(store.state_path) if os.path.isdir(store.state_path) else []
    for name in sorted(name for name in names if re.fullmatch(r"[a-z0-9_-]{1,64}\.[0-9]{20}\.snap", name)):
        try:
            yield {"file": name, **snapshot(name, read_at(os.path.join(store.state_path, name), 0, -1), store, end)}
        except (Malformed, UnicodeDecodeError) as error:
            yield {"file": name, "unusable": str(error)}


# ---- Staging file ---------------------------------------------------------------------------------------------------


class Staging:
    def __init__(self, raw, manifest, boot_id):
        """Raises `Malformed` if the file does not count."""
        if len(raw) < 4096 or raw[:8] != b"WALDBSTG" or zlib.crc32(raw[:60]) != struct.unpack_from("<I", raw, 60)[0]:
            raise Malformed("its header is damaged")
        log_id, boot, epoch, closed, self.capacity, number = struct.unpack_from("<16s16sIIQI", raw, 8)
        self.closed = closed == 1
        if not self.closed and (log_id, epoch, number) != (
                manifest.log_id, manifest.newest_epoch(), manifest.staging_number):
            raise Malformed("it is of another log, another epoch or another opening")
        if self.capacity & (self.capacity - 1) or not 65_536 <= self.capacity <= 2**30 or len(raw) < 4096 + self.capacity:
            raise Malformed("its size")
        self.raw, self.epoch = raw, epoch
        self.this_boot = any(boot) and boot == boot_id
        newer, inverted = struct.unpack_from("<QQ", raw, 512)
        self.released = inverted ^ MASK64
        if not 0 <= newer - self.released <= 2**32:
            raise Malformed("its position is damaged")
        durable, inverted = struct.unpack_from("<QQ", raw, 1024)
        self.durable = durable if durable ^ inverted == MASK64 else 0
        self.block = min(512 << 10, self.capacity // 4)
        self.key = frame_key(manifest.log_id, epoch)

    def bytes(self, pos, length):
        """What stands at a position; a frame never reaches over the end of the ring."""
        at = 4096 + pos % self.capacity
        return self.raw[at : at + length]

    def records(self, end):
        """What is to be taken from the ring if the stream ends at `end`."""
        if self.closed or not self.released <= end < self.released + self.capacity:
            return []
        taken, pos, limit = [], end + HEADER, self.released + self.capacity
        while pos < limit:
            left = min(limit - pos, self.block - pos % self.block)
            ring = self.bytes(pos, min(left, 8))
            checksum, word = struct.unpack("<II", ring)
            kind, length = word >> 28 & 7, word & 0xFFFFFFF
            if (checksum, word) == (0, 0) and pos % self.block == 0 or word == 0xF1504F47 and pos % SECTOR == 0:
                pos += HEADER
            elif (checksum, word) == (0, 0) and self.this_boot:
                pos += 8
            elif kind == CLAIMED and checksum == 0 and self.this_boot and 8 <= length <= left and length % 8 == 0:
                pos += length
            else:
                frame = frame_at(self.bytes(pos, min(left, up(8 + length, 8))), 0, pos, self.key)
                if frame is None:
                    break
                taken.append((pos, *frame[:3]))
                pos += frame[3]
        while taken and taken[-1][2]:
            taken.pop()
        return taken


def boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except OSError:
        return bytes(16)


# ---- The verdict ----------------------------------------------------------------------------------------------------


def staging_of(store, use_staging):
    """(the staging file if it counts, what it is)"""
    if not use_staging or not os.path.isfile(store.staging_path) or os.path.getsize(store.staging_path) == 0:
        return None, "absent"
    with open(store.staging_path, "rb") as file:
        for _ in range(3):
            file.seek(0)
            raw = file.read()
            file.seek(0)
            # A writer that changes the ring's size meanwhile has it read in the wrong places.
            if file.read(64) == raw[:64]:
                break
        try:
            staging = Staging(raw, store.manifest, boot_id())
        except Malformed as error:
            return None, "ignored: " + str(error)
    return (None, "closed") if staging.closed else (staging, "counts")


def read_log(path, use_staging=True, with_snapshots=False):
    """Yields the records, snapshots if they are asked for, then the verdict."""
    try:
        store = Directory(path) if os.path.isdir(path) else OneFile(path)
        opening = Opening(store)
    except NotALog as error:
        yield {"verdict": "no log", "why": str(error)}
        return
    except Damage as damage:
        yield {"verdict": "damage", "at": damage.at, "why": damage.why}
        return
    end, m, unreadable, described = opening.pos, store.manifest, None, []
    rules = Rules(m)
    staging, staging_state = staging_of(store, use_staging)
    durable = max(opening.durable, staging.durable if staging else 0)
    interrupted = staging is not None and staging.this_boot and end >= staging.released
    whole = end >= durable and (opening.torn or interrupted)
    try:
        described = schemas(store, opening.last_schema)
    except Damage:
        pass  # records are read without
    try:
        shapes = {(s["type"], s["version"]): s["shape"] for s in described}
        for pos, kind, more, payload in frames_of_log(store, end, rules):
            if kind != VOID and pos >= m.head:
                yield describe(pos, kind, more, payload, shapes)
    except Damage as damage:
        unreadable = {"at": damage.at, "why": damage.why}
    for pos, kind, more, payload in staging.records(end) if staging and whole else []:
        if kind != VOID:
            yield {**describe(pos, kind, more, payload), "staged": True}
    if with_snapshots:
        yield from snapshots(store, end)
    yield {"verdict": "end" if whole else "damage", "at": end, "why": opening.why, "durable": durable,
           "unreadable": unreadable, "head": m.head - HEADER, "epoch": m.newest_epoch(), "slots": store.slots,
           "staging": staging_state, "rules": rules.broken, "schemas": [[s["type"], s["version"], s["name"], s["shape"]] for s in described]}


def main():
    logs = [a for a in sys.argv[1:] if not a.startswith("--")]
    if not logs:
        sys.exit(__doc__)
    last = {}
    for log in logs:
        for last in read_log(log, "--no-staging" not in sys.argv, "--snapshots" in sys.argv):
            print(json.dumps(last))
    sys.exit({"end": 0, "damage": 1, "no log": 2}[last["verdict"]])


if __name__ == "__main__":
    main()
