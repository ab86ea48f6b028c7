# The hard rules of seamstep as one answer. A fact that is not known is absent, which makes the rule undefined: no.
package seamstep

default allow := false

allow if {
	host := data.hosts[input.host]
	source := data.releases[input.source]
	target := data.releases[input.target]

	not host.erratum # upload-interface
	host.upload_status == "idle"
	host.remaining_updates >= 1 # updates-remaining
	host.cpus_online == host.cpus_present # cpus-online
	source.series == target.series # same-series
	source.version < target.version # forward-only
	target.minimum_module <= source.version # minimum-module
	target.minimum_seamldrs[host.seamldr_series] <= host.seamldr_update # seamldr-minimum
	every cpu in host.cpus { cpu in target.image.cpus } # cpu-supported
	takes_updates(host, source) # update-compatibility
	source.image.authentic # handoff, svn-major: what the source's image says counts only if it is authentic
	target.image.min_update_hv <= source.image.module_hv # handoff
	source.image.module_hv <= target.image.module_hv
	source.image.svn_major == target.image.svn_major # svn-major
	target.image.authentic # image-authentic
	18 in target.features # kernel-features
	1 in target.features
}

takes_updates(host, _) if host.profile == "legacy"

takes_updates(host, source) if {
	host.profile == "mainline"
	47 in source.features
}
