# A handful of the hard rules as one answer. A fact that is not known is absent, which makes the rule undefined: no.
package seamstep

default allow := false

allow if {
	host := data.hosts[input.host]
	source := data.releases[input.source]
	target := data.releases[input.target]

	host.cpus_online == host.cpus_present # cpus-online
	host.cpu_limits == []
	source.series == target.series # same-series
	source.version < target.version # forward-only
	target.minimum_module <= source.version # minimum-module
	target.minimum_seamldrs[host.seamldr_series] <= host.seamldr_update # seamldr-minimum
}
