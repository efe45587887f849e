"""Loads the component in wasmtime's Python package: `python tests/contract/wasmtime_python.py COMPONENT`.

It is linked and instantiated. It cannot be asked: the package has the types of wasi:http, but no way to make the request
and the place for the answer that the handler takes. Fails if either has become otherwise.
"""

import sys

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

HANDLER = "wasi:http/incoming-handler@0.2.12"


def main():
    engine = Engine()
    component = Component.from_file(engine, sys.argv[1])
    linker = Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()
    store = Store(engine)
    store.set_wasi(WasiConfig())
    store.set_wasi_http()
    instance = linker.instantiate(store, component)
    handler = instance.get_export_index(store, HANDLER)
    handle = instance.get_func(store, instance.get_export_index(store, "handle", handler))
    print("linked and instantiated; the handler takes", [name for name, _ in handle.type(store).params])
    try:
        handle(store, object(), object())
    except TypeError as refused:
        print(f"as expected, it cannot be asked: {refused}")
        return 0
    print("it can be asked now: let it answer a create and a get here")
    return 1


if __name__ == "__main__":
    sys.exit(main())
