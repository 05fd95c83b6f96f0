// SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
// SPDX-License-Identifier: MIT

// campaigns/board.py or vm.py in MicroPython's WebAssembly build, whose words have 32 bits:
//   node board.mjs BUILD.mjs FOLDER run RESPONSES SECONDS [WORD ...]
//   node board.mjs BUILD.mjs FOLDER weigh MODULE ...
//   node board.mjs BUILD.mjs FOLDER stack RESPONSES SECONDS [WORD ...]
// The FOLDER of a drive is copied into its file system. This build collects garbage only when no Python runs, and its heap grows
// as needed: so it shows what is live and what is garbage, and not the smallest heap.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const HEAP = 8 << 20;
const [build, folder, what, ...words] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(build));
const vm = await loadMicroPython({ heapsize: HEAP, pystack: 8192, stdout: (line) => console.log(line) });

function copy(from, to) {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), `${to}/${entry.name}`];
    if (entry.isDirectory()) {
      vm.FS.mkdir(target);
      copy(source, target);
    } else vm.FS.writeFile(target, fs.readFileSync(source));
  }
}

vm.FS.mkdir("/drive");
copy(folder, "/drive");
vm.FS.mkdir("/tools");
for (const name of ["board.py", "vm.py"]) vm.FS.writeFile(`/tools/${name}`, fs.readFileSync(path.join(HERE, name)));

const python = (code) => {
  try {
    vm.runPython(code);
  } catch (error) {
    console.log("trouble", error.message);
    process.exit(3);
  }
};
const collect = () => python("gc.collect()"); // it is done once this has returned
const used = () => {
  python("used = gc.mem_alloc()");
  return vm.globals.get("used");
};
python('import gc, os, sys, micropython; sys.path[:] = ["/drive", "/tools"]; os.chdir("/drive"); used = 0; more = True');

if (what === "weigh") {
  python("import vm");
  for (const name of words) {
    collect();
    const before = used();
    python(`__import__("${name}")`);
    collect();
    console.log(name, used() - before);
  }
  python("micropython.qstr_info()");
} else if (what === "stack") {
  const [responses, seconds, ...others] = words;
  python("import board");
  python(`board.main("${responses}", ${seconds}, ${JSON.stringify([...others, "stack"])})`);
} else {
  const [responses, seconds, ...others] = words;
  python("import board");
  python(`board.prepare("${responses}", ${seconds}, ${JSON.stringify([...others, "sliced"])})`);
  collect();
  python("gc.disable()");
  python("board.begin()");
  do {
    collect();
    python("board.heap.after()");
    python("more = board.proceed()");
  } while (vm.globals.get("more"));
  python("micropython.qstr_info()");
}
