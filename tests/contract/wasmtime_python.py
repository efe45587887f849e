"""Loads the component with wasmtime's Python package: `python tests/contract/wasmtime_python.py COMPONENT`.

The component links and instantiates, but its handler cannot be called: the package has the types of wasi:http, but no
way to create the request and the response outparam that the handler takes. The script fails if either fact changes.
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
    print("linked and instantiated; parameters of the handler:", [name for name, _ in handle.type(store).params])
    try:
        handle(store, object(), object())
    except TypeError as error:
        print(f"as expected, the handler cannot be called: {error}")
        return 0
    print("the handler can be called now: extend this script to create and fetch an order")
    return 1


if __name__ == "__main__":
    sys.exit(main())
