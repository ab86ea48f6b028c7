"""Words that people use for the keys of a policy, for the hints on unknown keys."""

from __future__ import annotations

_ENTRY = {
    "versions": ("release", "target", "to"),
    "reason": ("why", "because", "comment", "note"),
    "until": ("expire", "expiry", "end", "valid_until"),
}
#: Other words for the keys of a policy, singular, for the hints on unknown keys.
SYNONYMS = {
    "target": ("goal", "to", "destination", "want", "version"),
    "path": ("strategy", "choice", "objective", "algorithm", "mode"),
    "max_hops": ("hop", "limit", "max_update", "maximum_hop"),
    "keep_updates": ("reserve", "keep", "spare"),
    "td_creation": ("hold", "held", "creation"),
    "tcb_info": ("tcb", "tcb_stale_until", "stale_until", "advisory"),
    "rules": ("check", "level"),
    "signers": ("key", "trust", "trusted", "trusted_key"),
    "deny": ("denied", "denial", "forbid", "forbidden", "block", "blocked", "exclude", "blocklist", "blacklist"),
    "accept": ("waive", "waiver", "waived", "accepted", "allow", "except", "exception", "exempt"),
    "waypoints": ("via", "stop", "stop_at", "through"),
    "apply": ("executor", "execution", "run"),
    "apply.windows": ("maintenance", "maintenance_window", "schedule"),
    "apply.soak": ("pause", "delay", "soak_time", "wait_between"),
    "apply.busy": ("retry", "on_busy"),
    "apply.before": ("pre", "hook", "pre_hook", "quiesce"),
    "apply.after": ("post", "post_hook", "resume"),
    "apply.busy.retries": ("attempt", "trie", "count"),
    "apply.busy.wait": ("delay", "pause", "interval"),
    "apply.windows[].days": ("weekday", "on"),
    "apply.windows[].from": ("start", "begin", "open"),
    "apply.windows[].to": ("end", "stop", "until", "close"),
    "apply.windows[].timezone": ("tz", "zone", "time_zone"),
    "deny[].from": ("source",),
    "deny[].link": ("url", "see", "reference"),
    "accept[].rule": ("name", "check"),
    "accept[].by": ("owner", "author", "approver", "approved_by", "who"),
    **{f"{key}[].{name}": words for key in ("deny", "accept") for name, words in _ENTRY.items()},
}
