# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A stand-in for Telegraf, which is in no registry here: it reads deploy/one-machine/telegraf/telegraf.conf and does what
Telegraf's documentation says of every option in it. An option that it does not know is an error, so that the file cannot
say more than is tried.

    line_protocol(config, topic, payload, now)    what Telegraf would write for one message
    Telegraf(...)                                 the same between a real broker and a real store
"""

import json
import re
import threading
import time
import tomllib
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.client import topic_matches_sub

FILE = Path(__file__).resolve().parent.parent / "deploy" / "one-machine" / "telegraf" / "telegraf.conf"

INPUT = {"name_override", "servers", "topics", "username", "password", "qos", "persistent_session", "topic_tag", "data_format"}
INPUT |= {
    "max_undelivered_messages",
    "json_string_fields",
    "tag_keys",
    "fieldinclude",
    "fieldexclude",
    "topic_parsing",
    "data_type",
}
INPUT |= {"value_field_name"}
AGENT = {"interval", "flush_interval", "metric_batch_size", "metric_buffer_limit", "omit_hostname"}
OUTPUT = {"urls", "skip_database_creation", "exclude_retention_policy_tag", "content_encoding"}


def load(file=FILE):
    """The configuration as a dict. Raises ValueError for an option that this stand-in does not know."""
    config = tomllib.loads(file.read_text())
    _only(config, {"agent", "inputs", "processors", "outputs"})
    _only(config["agent"], AGENT)
    _only(config["inputs"], {"mqtt_consumer"})
    for each in config["inputs"]["mqtt_consumer"]:
        _only(each, INPUT)
        for parsing in each["topic_parsing"]:
            _only(parsing, {"topic", "tags"})
            if len(parsing["topic"].split("/")) != len(parsing["tags"].split("/")):
                raise ValueError("tags length does not equal topic length")
    _only(config["processors"], {"enum"})
    for each in config["processors"]["enum"]:
        _only(each, {"mapping"})
        for mapping in each["mapping"]:
            _only(mapping, {"fields", "value_mappings"})
    _only(config["outputs"], {"influxdb"})
    for each in config["outputs"]["influxdb"]:
        _only(each, OUTPUT)
    return config


def _only(table, known):
    if set(table) - known:
        raise ValueError(f"the stand-in does not know {sorted(set(table) - known)}")


def line_protocol(config, topic, payload, now=None):
    """The lines of InfluxDB's protocol that one message becomes, for each input that subscribes to its topic."""
    stamp = int((time.time() if now is None else now) * 1e9)
    for source in config["inputs"]["mqtt_consumer"]:
        if any(topic_matches_sub(pattern, topic) for pattern in source["topics"]):
            metric = _metric(source, topic, payload)
            if metric is not None:
                tags, fields = metric
                for processor in config["processors"]["enum"]:
                    _enumerate(processor, fields)
                yield _line(source["name_override"], tags, fields, stamp)


def _metric(source, topic, payload):
    """(tags, fields); None: nothing is left of it, and Telegraf writes no metric without a field."""
    tags = {}
    if source["data_format"] == "json":
        try:
            fields = json.loads(payload)
        except ValueError:
            return None  # parse errors are logged
        if not isinstance(fields, dict):
            return None
        for key in source.get("tag_keys", ()):
            value = fields.pop(key, None)
            if isinstance(value, str | float | int):
                tags[key] = str(value)
        fields = dict(_flat(fields, source.get("json_string_fields", ())))
    else:
        assert (source["data_format"], source["data_type"]) == ("value", "string")
        if not payload.strip():
            return None
        fields = {source.get("value_field_name", "value"): payload.decode().strip()}
    for parsing in source["topic_parsing"]:
        if topic_matches_sub(parsing["topic"], topic):
            names = parsing["tags"].split("/")
            tags |= {name: part for name, part in zip(names, topic.split("/"), strict=True) if name not in ("_", "")}
    if "fieldinclude" in source:
        fields = {key: value for key, value in fields.items() if _is_in(key, source["fieldinclude"])}
    fields = {key: value for key, value in fields.items() if not _is_in(key, source.get("fieldexclude", ()))}
    return (tags, fields) if fields else None


def _flat(table, texts, prefix=""):
    """Numbers, and the words that are asked for; neither null nor true and false nor other words."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, texts, f"{prefix}{key}_")
        elif isinstance(value, list):
            yield from _flat({str(index): each for index, each in enumerate(value)}, texts, f"{prefix}{key}_")
        elif isinstance(value, str):
            if _is_in(prefix + key, texts):
                yield prefix + key, value
        elif value is not None and not isinstance(value, bool):
            yield prefix + key, float(value)


def _enumerate(processor, fields):
    for mapping in processor["mapping"]:
        for key, value in fields.items():
            if _is_in(key, mapping["fields"]) and isinstance(value, str) and value in mapping["value_mappings"]:
                fields[key] = mapping["value_mappings"][value]


def _is_in(key, patterns):
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _line(name, tags, fields, stamp):
    head = ",".join([_escaped(name), *(f"{_escaped(key)}={_escaped(value)}" for key, value in sorted(tags.items()) if value)])
    return f"{head} {','.join(f'{_escaped(key)}={_field(value)}' for key, value in sorted(fields.items()))} {stamp}"


def _field(value):
    if isinstance(value, str):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return f"{value}i" if isinstance(value, int) else f"{value:.12g}"


def _escaped(text):
    return re.sub(r"([,= ])", r"\\\1", text)


class Telegraf:
    """The stand-in between a broker on `port` and a store at `url`; `user` is (name, password). It writes once a second."""

    def __init__(self, port, url, user=None, address="127.0.0.1"):
        self._config = load()
        self._url = url
        self._lines, self._lock, self._ended = [], threading.Lock(), threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(*user)
        topics = {topic for each in self._config["inputs"]["mqtt_consumer"] for topic in each["topics"]}
        self._client.reconnect_delay_set(0.2, 0.2)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 0) for topic in sorted(topics)])
        self._client.on_message = self._take
        self._client.connect_async(address, port)
        self._client.loop_start()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def _take(self, _client, _data, message):
        lines = list(line_protocol(self._config, message.topic, message.payload))
        with self._lock:
            self._lines += lines

    def _write(self):
        while not self._ended.wait(1):
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                urllib.request.urlopen(self._url + "/write", "\n".join(lines).encode(), timeout=10).close()

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()
        self._ended.set()
        self._writer.join(15)
