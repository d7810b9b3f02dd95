"""A strict stand-in for an ONNX Runtime with accelerators: its documented calls, each recorded.

`install` puts it in the place of the real one, whose CPU provider then does the arithmetic. A
provider or an option that the documentation does not name is an error, as is a provider that this
installation is said not to have. `broken` ones fail to start, which ONNX Runtime answers by taking
the next; one that leaves operators to the CPU fails where that was forbidden.
"""

import onnxruntime

OPTIONS = {
    "CPUExecutionProvider": set(),
    "CUDAExecutionProvider": {"device_id", "use_tf32", "do_copy_in_default_stream"},
    "CANNExecutionProvider": {"device_id", "precision_mode"},
}
CPU = "CPUExecutionProvider"
NO_CPU = "session.disable_cpu_ep_fallback"


class Sessions:
    """What an installation has, and how each of its sessions was opened."""

    def __init__(self, available, broken=(), leaves_some=()):
        self.available, self.broken, self.leaves_some = available, broken, leaves_some
        self.opened = []  # (name, options) of the providers of each session

    def install(self, monkeypatch):
        real = onnxruntime.InferenceSession
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(self.available))

        def open_session(content, options, *, providers, provider_options, enable_fallback):
            assert enable_fallback == 0, "ONNX Runtime would go on by itself, and print that"
            asked = list(zip(providers, provider_options, strict=True))
            for name, settings in asked:
                assert name in self.available, f"{name} is not here"
                assert set(settings) <= OPTIONS[name], f"{name} has no option of {settings}"
                assert all(isinstance(value, str) for value in settings.values())
            self.opened.append(asked)
            alone = self._no_cpu(options)
            if alone and CPU in providers:
                raise RuntimeError("explicitly added the CPU EP, but also disabled fallback to it")
            used = [name for name in providers if name not in self.broken] or [CPU]
            if alone and (used == [CPU] or used[0] in self.leaves_some):
                raise RuntimeError("graph nodes have been assigned to the default CPU EP")
            session = real(content, providers=[CPU])
            session.get_providers = lambda: used
            return session

        monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
        return self

    @staticmethod
    def _no_cpu(options):
        try:
            return options.get_session_config_entry(NO_CPU) == "1"
        except RuntimeError:  # it was never set
            return False
