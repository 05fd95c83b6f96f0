# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Home Assistant's discovery of the sources (battery/sources.py). Loaded with mqtt/homeassistant.py where there is one."""

from battery.json import escaped
from battery.readings import BINARY, ENUM, NUMBER
from battery.sources import PER_MESSAGE

from .homeassistant import Discovery
from .source_parts import place_of


class SourceDiscovery(Discovery):
    """The messages on the sources; `after`: how many there are on everything else. The other arguments: of Discovery."""

    def __init__(self, *arguments, after, sources, writer=None):
        super().__init__(*arguments, writer=writer)  # type: ignore[misc]
        self._after = after
        self._sources = sources

    def begin(self, part, is_settled=True):
        """(topic, steps) of message `part`, see Discovery.begin."""
        index, message = place_of(part, self._after)
        source = self._sources[index]
        suffix = f"_{message + 1}" if message else ""
        self.is_partial = False
        if source.device is None:
            topic = self._begin_device("", self._name + " bridge", "_" + source.key + suffix)
        else:
            topic = self._begin_device("_" + source.key, self._name + " " + source.device, suffix)
        return topic, self._source_steps(source, message * PER_MESSAGE)

    def _source_steps(self, source, first):
        writer = self.writer.clear()
        self._write_device()
        if source.device is not None:
            writer.put(',"mf":"daly-bridge","via_device":"').put(self._bridge).put('"')
            self._field("mdl", source.model)
        writer.put("}")
        self._write_root("/" + source.key, ("/status",))
        yield False
        for row in source.rows[first : first + PER_MESSAGE]:
            self._write_source_row(source, row)
            yield False
        writer.put("}}")
        yield True

    def _write_source_row(self, source, row):
        platform = "select" if row.command else "binary_sensor" if row.kind == BINARY else "sensor"
        key = row.key if source.device is not None else source.key + "_" + row.key
        chosen = key + "_select"  # a component never becomes one of another platform: the one has to go, and another comes
        if row.kind == ENUM:
            self._write_removal(key if row.command else chosen, "sensor" if row.command else "select")
        if row.name is None:
            self._write_removal(key, platform)
            return
        icon = row.device_class or (row.icon and "mdi:" + row.icon)
        self._begin_entity(platform, chosen if row.command else key, key, escaped(row.name), icon)
        self._write_template(row.key)
        self._write_category(row.category)
        if row.kind == NUMBER:
            self._write_unit(row.unit, "total_increasing" if row.is_total else "measurement")
            self.writer.put(',"sug_dsp_prc":').put(str(row.decimals))
        if row.kind == ENUM:
            if not row.command:
                self._field("dev_cla", "enum")
            self.writer.put(',"ops":["').put('","'.join(row.options)).put('"]')
        if row.command:
            self._field("cmd_t", self._base + row.command)
            self.writer.put(',"qos":1')
        test = "number" if row.kind == NUMBER else "string"
        self._write_availability_of(row.key, ("/status", "/" + source.key + "/state"), test)
        if not row.command:
            self._write_expiry()
        self.writer.put("}")
