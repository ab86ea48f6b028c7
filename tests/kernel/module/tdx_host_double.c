// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A double of a TDX host: the sysfs files of drivers/virt/coco/tdx-host/tdx-host.c (Linux 7.2) and an upload node
 * made by the kernel's own firmware_upload_register(). Behind it are no TDX module and no P-SEAMLDR: install() decides
 * as seamldr_install_module() of Linux and seamldr_install() of P-SEAMLDR's source do, as far as the header and the
 * sigstruct of an image tell. docs/kernel-tests.md has the table of knobs.
 *
 * Every knob is a module parameter, and writable below /sys/module/tdx_host_double/parameters while the module is
 * loaded. Loading it anew is the reset.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/hash.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/firmware.h>
#include <linux/module.h>
#include <linux/unaligned.h>
#include <asm/processor.h>

#define VERSION_LEN	16

/* The host: what it is now. An upload changes it. */
static char version[VERSION_LEN] = "1.5.24";
static char seamldr_version[VERSION_LEN] = "1.5.02";
static unsigned int remaining_updates = 10;
static unsigned int svn = 0x10d;
static unsigned int module_hv = 1;
static bool lost;
static unsigned int uploads;
module_param_string(version, version, sizeof(version), 0644);
MODULE_PARM_DESC(version, "the running module's version");
module_param_string(seamldr_version, seamldr_version, sizeof(seamldr_version), 0644);
MODULE_PARM_DESC(seamldr_version, "P-SEAMLDR's version");
module_param(remaining_updates, uint, 0644);
MODULE_PARM_DESC(remaining_updates, "how often P-SEAMLDR still updates");
module_param(svn, uint, 0644);
MODULE_PARM_DESC(svn, "the running module's seamsvn");
module_param(module_hv, uint, 0644);
MODULE_PARM_DESC(module_hv, "the running module's handoff version");
module_param(lost, bool, 0644);
MODULE_PARM_DESC(lost, "whether TDX is lost");
module_param(uploads, uint, 0644);
MODULE_PARM_DESC(uploads, "how many uploads were committed");

/* What the host is made of; takes effect when the module is loaded. */
static char *layout = "mainline";
static bool node = true;
static char *modules = "";
module_param(layout, charp, 0444);
MODULE_PARM_DESC(layout, "the sysfs layout and its image format: mainline, legacy, interim");
module_param(node, bool, 0444);
MODULE_PARM_DESC(node, "whether there is an upload node");
module_param(modules, charp, 0444);
MODULE_PARM_DESC(modules, "the modules there are: first 8 bytes of the SEAMHASH in hex=version, comma separated");

/* What the platform has, beside what Linux knows of it. */
static unsigned int lps;
static bool debug_unlocked;
static unsigned int seam_pages;
module_param(lps, uint, 0644);
MODULE_PARM_DESC(lps, "how many logical processors P-SEAMLDR counts; 0: as many as are present");
module_param(debug_unlocked, bool, 0644);
MODULE_PARM_DESC(debug_unlocked, "whether the platform takes debug modules");
module_param(seam_pages, uint, 0644);
MODULE_PARM_DESC(seam_pages, "how many pages the SEAM range has beside code and page tables; 0: enough");

/* What P-SEAMLDR looks at. */
static bool check_sigstruct = true;
static bool check_cpuid = true;
static bool check_svn = true;
static bool check_handoff = true;
static bool check_hash = true;
static bool check_cpus = true;
static bool check_remaining = true;
module_param(check_sigstruct, bool, 0644);
MODULE_PARM_DESC(check_sigstruct, "the sigstruct's fields have to be in order");
module_param(check_cpuid, bool, 0644);
MODULE_PARM_DESC(check_cpuid, "the CPUID table has to name this CPU");
module_param(check_svn, bool, 0644);
MODULE_PARM_DESC(check_svn, "the SVN's major byte has to stay, and its minor byte may not go down");
module_param(check_handoff, bool, 0644);
MODULE_PARM_DESC(check_handoff, "the target has to take the running module's handoff version");
module_param(check_hash, bool, 0644);
MODULE_PARM_DESC(check_hash, "the SEAMHASH has to be the SHA-384 of the module");
module_param(check_cpus, bool, 0644);
MODULE_PARM_DESC(check_cpus, "every logical processor has to be online");
module_param(check_remaining, bool, 0644);
MODULE_PARM_DESC(check_remaining, "an update has to be left");

/* What goes wrong, and how long things take. */
static unsigned int delay_ms = 1;
static unsigned int busy;
static bool refuses_shutdown;
static char fault_phase[16] = "transferring";
static unsigned int fault_error;
static unsigned int fault_upload;
static bool fault_loses;
static char becomes[VERSION_LEN];
static unsigned int count_step = 1;
module_param(delay_ms, uint, 0644);
MODULE_PARM_DESC(delay_ms, "how long each phase takes");
module_param(busy, uint, 0644);
MODULE_PARM_DESC(busy, "how many uploads report device-busy, as some kernels do and mainline never does");
module_param(refuses_shutdown, bool, 0644);
MODULE_PARM_DESC(refuses_shutdown, "whether the running module refuses TDH.SYS.SHUTDOWN, which is harmless");
module_param_string(fault_phase, fault_phase, sizeof(fault_phase), 0644);
MODULE_PARM_DESC(fault_phase, "where the fault is: preparing, transferring, programming");
module_param(fault_error, uint, 0644);
MODULE_PARM_DESC(fault_error, "what it reports, an enum fw_upload_err; 0: there is none");
module_param(fault_upload, uint, 0644);
MODULE_PARM_DESC(fault_upload, "which upload has it, from 1; 0: each");
module_param(fault_loses, bool, 0644);
MODULE_PARM_DESC(fault_loses, "whether it loses TDX");
module_param_string(becomes, becomes, sizeof(becomes), 0644);
MODULE_PARM_DESC(becomes, "the version that runs after an update, whatever was uploaded");
module_param(count_step, uint, 0644);
MODULE_PARM_DESC(count_step, "by how much an update lowers remaining_updates");

static bool stopping;
static bool programming_fails;

/* ---- The image: struct tdx_image_header of arch/x86/virt/vmx/tdx/seamldr.c, and its older sibling ---- */

#define MAX_SIG_PAGES		1
#define MAX_MODULE_PAGES	496

struct header_2_0 {
	__le16 version;
	__le16 checksum;
	u8 signature[8];
	__le32 sigstruct_nr_pages;
	__le32 module_nr_pages;
	u8 reserved[4076];
} __packed;
static_assert(sizeof(struct header_2_0) == PAGE_SIZE);

struct header_1_0 {
	__le16 version;
	__le16 checksum;
	__le32 offset_of_module;
	u8 signature[8];
	__le32 length;
	u8 reserved[4076];
} __packed;
static_assert(sizeof(struct header_1_0) == PAGE_SIZE);

/* Where the SEAM sigstruct has its fields; seam_sigstruct_t of P-SEAMLDR's source. */
enum sigstruct_offset {
	HEADER_TYPE		= 0,
	HEADER_LENGTH		= 4,
	HEADER_VERSION		= 8,
	MODULE_TYPE		= 12,
	MODULE_VENDOR		= 16,
	SIZE			= 24,
	KEY_SIZE		= 28,
	MODULUS_SIZE		= 32,
	EXPONENT_SIZE		= 36,
	EXPONENT		= 512,
	SEAMHASH		= 900,
	SEAMSVN			= 948,
	ATTRIBUTES		= 950,
	STACK_PAGES		= 962,
	TLS_PAGES		= 963,
	GLOBAL_DATA_PAGES	= 966,
	MODULE_HV		= 984,
	MIN_UPDATE_HV		= 986,
	HANDOFF_PAGES		= 990,
	GDT_IDT			= 992,
	FAULT_WRAPPER		= 996,
	CPUID_COUNT		= 1024,
	CPUID_TABLE		= 1028,
};
#define SEAMHASH_LEN		48
#define MAX_CPUIDS		255
#define DEBUG_BIT		BIT(31)
#define FAULT_WRAPPERS_LEN	512

/* The fields of which P-SEAMLDR takes one value only. */
static const struct {
	enum sigstruct_offset offset;
	u32 value;
} only[] = {
	{ HEADER_TYPE, 6 }, { HEADER_LENGTH, 0xe1 }, { HEADER_VERSION, 0x10000 }, { MODULE_VENDOR, 0x8086 },
	{ SIZE, 0x200 }, { KEY_SIZE, 0x60 }, { MODULUS_SIZE, 0x60 }, { EXPONENT_SIZE, 1 }, { EXPONENT, 65537 },
};

struct image {
	const u8 *sigstruct;
	const u8 *module;
	u32 module_len;
};

/* init_seamldr_params() of mainline. It does not look at the checksum. */
static bool parse_2_0(struct image *image, const u8 *data, u32 len)
{
	const struct header_2_0 *header = (const void *)data;
	u64 sigs, pages;

	if (len < sizeof(*header))
		return false;
	sigs = le32_to_cpu(header->sigstruct_nr_pages);
	pages = le32_to_cpu(header->module_nr_pages);
	if (sizeof(*header) + (sigs + pages) * PAGE_SIZE != len)
		return false;
	if (le16_to_cpu(header->version) != 0x200)
		return false;
	if (sigs > MAX_SIG_PAGES || pages > MAX_MODULE_PAGES)
		return false;
	if (memcmp(header->signature, "TDX-BLOB", sizeof(header->signature)))
		return false;
	if (memchr_inv(header->reserved, 0, sizeof(header->reserved)))
		return false;
	image->sigstruct = sigs ? data + sizeof(*header) : NULL;
	image->module = data + sizeof(*header) + sigs * PAGE_SIZE;
	image->module_len = pages * PAGE_SIZE;
	return true;
}

/* init_seamldr_params() of the third version of "Runtime TDX Module update support": it does look at the checksum. */
static bool parse_1_0(struct image *image, const u8 *data, u32 len)
{
	const struct header_1_0 *header = (const void *)data;
	u32 offset, at;
	u16 sum = 0;

	if (len < sizeof(*header) || len % 2 || le32_to_cpu(header->length) != len)
		return false;
	offset = le32_to_cpu(header->offset_of_module);
	if (le16_to_cpu(header->version) != 0x100 || offset <= PAGE_SIZE || offset >= len)
		return false;
	if ((len - offset) % PAGE_SIZE || (len - offset) / PAGE_SIZE > MAX_MODULE_PAGES)
		return false;
	if (memcmp(header->signature, "TDX-BLOB", sizeof(header->signature)))
		return false;
	if (memchr_inv(header->reserved, 0, sizeof(header->reserved)))
		return false;
	for (at = 0; at < len; at += 2)
		sum += get_unaligned_le16(data + at);
	if (sum)
		return false;
	image->sigstruct = offset >= 2 * PAGE_SIZE ? data + PAGE_SIZE : NULL;
	image->module = data + offset;
	image->module_len = len - offset;
	return true;
}

/* ---- P-SEAMLDR ---- */

static u16 u16_at(const u8 *sigstruct, enum sigstruct_offset offset)
{
	return get_unaligned_le16(sigstruct + offset);
}

static u32 u32_at(const u8 *sigstruct, enum sigstruct_offset offset)
{
	return get_unaligned_le32(sigstruct + offset);
}

static unsigned int logical_processors(void)
{
	return lps ?: num_present_cpus();
}

/* check_seam_sigstruct(), without the reserved fields: which these are depends on P-SEAMLDR's version. */
static bool in_order(const u8 *sigstruct)
{
	u32 gdt = u32_at(sigstruct, GDT_IDT);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(only); i++)
		if (u32_at(sigstruct, only[i].offset) != only[i].value)
			return false;
	if (u32_at(sigstruct, MODULE_TYPE) & ~DEBUG_BIT || get_unaligned_le64(sigstruct + ATTRIBUTES))
		return false;
	if (u32_at(sigstruct, CPUID_COUNT) > MAX_CPUIDS)
		return false;
	if (u16_at(sigstruct, MIN_UPDATE_HV) > u16_at(sigstruct, MODULE_HV))
		return false;
	return !(gdt % PAGE_SIZE) && !gdt == !u32_at(sigstruct, FAULT_WRAPPER);
}

static bool inside(const struct image *image, enum sigstruct_offset field, u32 len)
{
	u64 offset = u32_at(image->sigstruct, field);

	return !offset || offset + len <= image->module_len;
}

static bool svn_may_follow(u16 fresh)
{
	return fresh >> 8 && fresh >> 8 == svn >> 8 && (fresh & 0xff) >= (svn & 0xff);
}

/* Counts of pages mean one more than they say. */
static bool fits_memory(const u8 *sigstruct)
{
	u32 per_lp = 1 + (sigstruct[STACK_PAGES] + 1) + 2 + (sigstruct[TLS_PAGES] + 1) + 1;
	u32 shared = 1 + (u16_at(sigstruct, GLOBAL_DATA_PAGES) + 1) + (u16_at(sigstruct, HANDOFF_PAGES) + 1);

	return !seam_pages || shared + logical_processors() * per_lp <= seam_pages;
}

static bool names_this_cpu(const u8 *sigstruct)
{
	u32 count = u32_at(sigstruct, CPUID_COUNT);
	u32 mine = cpuid_eax(1) & ~0xfU;	/* the stepping does not count */
	u32 i;

	for (i = 0; i < min_t(u32, count, MAX_CPUIDS); i++)
		if ((get_unaligned_le32(sigstruct + CPUID_TABLE + 4 * i) & ~0xfU) == mine)
			return true;
	return false;
}

static bool hash_is_right(const struct image *image)
{
	u8 digest[SEAMHASH_LEN];
	struct crypto_shash *tfm = crypto_alloc_shash("sha384", 0, 0);
	int err;

	if (IS_ERR(tfm))
		return false;
	err = crypto_shash_tfm_digest(tfm, image->module, image->module_len, digest);
	crypto_free_shash(tfm);
	return !err && !memcmp(digest, image->sigstruct + SEAMHASH, SEAMHASH_LEN);
}

/* Look the SEAMHASH up in the table; what is not there is taken for an image with a wrong signature. */
static bool look_up(const u8 *sigstruct, char *found)
{
	char key[17];
	const char *entry, *end;

	snprintf(key, sizeof(key), "%8phN", sigstruct + SEAMHASH);
	for (entry = modules; entry && *entry; entry = *end ? end + 1 : NULL) {
		end = strchrnul(entry, ',');
		if (!strncmp(entry, key, 16) && entry[16] == '=' && end - entry - 17 < VERSION_LEN) {
			strscpy(found, entry + 17, end - entry - 16);
			return true;
		}
	}
	return false;
}

/* seamldr_install() of P-SEAMLDR: the checks in its order. */
static const char *why_not(const struct image *image, char *target)
{
	const u8 *sigstruct = image->sigstruct;

	if (check_cpus && num_online_cpus() != logical_processors())
		return "SEAMLDR.INSTALL was not called on all logical processors";
	if (!sigstruct || !image->module_len)
		return "no sigstruct or no module (EBADPARAM)";
	if (check_sigstruct && !in_order(sigstruct))
		return "a field of the sigstruct (EBADSIG)";
	if (!debug_unlocked && u32_at(sigstruct, MODULE_TYPE) & DEBUG_BIT)
		return "a debug module (EBADSIG)";
	if (check_svn && !svn_may_follow(u16_at(sigstruct, SEAMSVN)))
		return "the SVN (EUNSUPPORTED, EBADSIG)";
	if (check_sigstruct && (!inside(image, GDT_IDT, PAGE_SIZE) || !inside(image, FAULT_WRAPPER, FAULT_WRAPPERS_LEN)))
		return "an offset outside the module (EBADSIG)";
	if (check_cpuid && !names_this_cpu(sigstruct))
		return "unsupported CPU (EUNSUPCPU)";
	if (!look_up(sigstruct, target))
		return "no such module (EBADSIG)";
	if (!fits_memory(sigstruct))
		return "no room in the SEAM range (ENOMEM)";
	if (check_remaining && !remaining_updates)
		return "no update is left (EBADCALL)";
	if (check_handoff && (u16_at(sigstruct, MIN_UPDATE_HV) > module_hv || u16_at(sigstruct, MODULE_HV) < module_hv))
		return "handoff data of another version (EBADHANDOFF)";
	if (check_hash && !hash_is_right(image))
		return "wrong hash (EBADHASH)";
	return NULL;
}

static bool is_mainline(void)
{
	return !strcmp(layout, "mainline");
}

/*
 * What seamldr_install_module() comes to. Up to the shutdown of the old module a refusal is harmless; everything that
 * P-SEAMLDR finds out after it is fatal. Both are reported alike.
 */
static enum fw_upload_err install(const u8 *data, u32 len)
{
	struct image image;
	char target[VERSION_LEN];
	const char *problem;

	if (is_mainline() ? !parse_2_0(&image, data, len) : !parse_1_0(&image, data, len))
		return FW_UPLOAD_ERR_FW_INVALID;
	if (lost)
		return FW_UPLOAD_ERR_FW_INVALID;
	/* The third version of the series looks at the CPUs before. */
	if (!is_mainline() && check_cpus && num_online_cpus() != num_present_cpus())
		return FW_UPLOAD_ERR_FW_INVALID;
	if (refuses_shutdown)
		return FW_UPLOAD_ERR_FW_INVALID;

	problem = why_not(&image, target);
	if (problem) {
		pr_info("TDX is lost: %s\n", problem);
		lost = true;
		return FW_UPLOAD_ERR_FW_INVALID;
	}
	strscpy(version, *becomes ? becomes : target, sizeof(version));
	svn = u16_at(image.sigstruct, SEAMSVN);
	module_hv = u16_at(image.sigstruct, MODULE_HV);
	remaining_updates -= min(remaining_updates, count_step);
	return FW_UPLOAD_ERR_NONE;
}

/* ---- The upload: called by the worker of drivers/base/firmware_loader/sysfs_upload.c ---- */

static void take_time(void)
{
	unsigned long start = jiffies;

	while (!READ_ONCE(stopping) && time_before(jiffies, start + msecs_to_jiffies(READ_ONCE(delay_ms))))
		msleep(1);
}

static enum fw_upload_err fault_in(const char *phase)
{
	if (!fault_error || strcmp(fault_phase, phase) || (fault_upload && fault_upload != uploads))
		return FW_UPLOAD_ERR_NONE;
	if (fault_loses)
		lost = true;
	return fault_error;
}

static enum fw_upload_err double_prepare(struct fw_upload *fwl, const u8 *data, u32 len)
{
	enum fw_upload_err err;

	kernel_param_lock(THIS_MODULE);
	uploads++;
	kernel_param_unlock(THIS_MODULE);
	take_time();
	kernel_param_lock(THIS_MODULE);
	err = fault_in("preparing");
	kernel_param_unlock(THIS_MODULE);
	return err;
}

static enum fw_upload_err double_write(struct fw_upload *fwl, const u8 *data, u32 offset, u32 len, u32 *written)
{
	enum fw_upload_err err;

	take_time();
	kernel_param_lock(THIS_MODULE);
	err = fault_in("transferring");
	if (!err && busy) {
		busy--;
		err = FW_UPLOAD_ERR_BUSY;
	}
	programming_fails = !err && fault_in("programming");
	if (!err && !programming_fails)
		err = install(data, len);
	kernel_param_unlock(THIS_MODULE);
	*written = len;
	return err;
}

/* Mainline is done after the write; it never fails here. */
static enum fw_upload_err double_poll_complete(struct fw_upload *fwl)
{
	take_time();
	return programming_fails ? fault_error : FW_UPLOAD_ERR_NONE;
}

/* TDX module updates can't be cancelled. */
static void double_cancel(struct fw_upload *fwl)
{
}

static const struct fw_upload_ops double_ops = {
	.prepare = double_prepare,
	.write = double_write,
	.poll_complete = double_poll_complete,
	.cancel = double_cancel,
};

/* ---- sysfs: drivers/virt/coco/tdx-host/tdx-host.c ---- */

static ssize_t show_text(char *buf, const char *text)
{
	ssize_t ret;

	kernel_param_lock(THIS_MODULE);
	ret = sysfs_emit(buf, "%s\n", text);
	kernel_param_unlock(THIS_MODULE);
	return ret;
}

static ssize_t version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return READ_ONCE(lost) ? -ENXIO : show_text(buf, version);
}

static ssize_t seamldr_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return show_text(buf, seamldr_version);
}

static ssize_t num_remaining_updates_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(remaining_updates));
}

static DEVICE_ATTR_RO(version);
static DEVICE_ATTR_ADMIN_RO(seamldr_version);
static DEVICE_ATTR_ADMIN_RO(num_remaining_updates);
/* The layouts of the unmerged series have a folder, and the name "version" twice. */
static struct device_attribute dev_attr_legacy_version = __ATTR(version, 0400, seamldr_version_show, NULL);

static struct attribute *module_attrs[] = { &dev_attr_version.attr, NULL };
static const struct attribute_group module_group = { .attrs = module_attrs };

static struct attribute *seamldr_attrs[] = {
	&dev_attr_seamldr_version.attr, &dev_attr_num_remaining_updates.attr, NULL
};
static const struct attribute_group seamldr_group = { .attrs = seamldr_attrs };

static struct attribute *legacy_attrs[] = {
	&dev_attr_legacy_version.attr, &dev_attr_num_remaining_updates.attr, NULL
};
static const struct attribute_group legacy_group = { .name = "seamldr", .attrs = legacy_attrs };

static const struct attribute_group *mainline_groups[] = { &module_group, &seamldr_group, NULL };
static const struct attribute_group *legacy_groups[] = { &module_group, &legacy_group, NULL };
/* Where the kernel offers no runtime update, the attributes of P-SEAMLDR are not there either. */
static const struct attribute_group *bare_groups[] = { &module_group, NULL };

static struct device *faux;	/* 6.12 has no faux bus yet; this makes the same path */
static struct device *host;
static struct fw_upload *upload;

static const char *upload_name(void)
{
	return strcmp(layout, "legacy") ? "tdx_module" : "seamldr_upload";
}

static void free_host(struct device *dev)
{
	kfree(dev);
}

static int __init double_init(void)
{
	int err;

	if (!is_mainline() && strcmp(layout, "legacy") && strcmp(layout, "interim"))
		return -EINVAL;
	faux = root_device_register("faux");
	if (IS_ERR(faux))
		return PTR_ERR(faux);
	host = kzalloc(sizeof(*host), GFP_KERNEL);
	if (!host) {
		err = -ENOMEM;
		goto no_host;
	}
	device_initialize(host);
	host->parent = faux;
	host->release = free_host;
	host->groups = !node ? bare_groups : is_mainline() ? mainline_groups : legacy_groups;
	err = dev_set_name(host, "tdx_host");
	if (!err)
		err = device_add(host);
	if (err)
		goto no_device;
	if (!node)
		return 0;
	/*
	 * Without an owner: a module that registers an upload in its own init holds a reference to itself, and this
	 * one is to be unloaded.
	 */
	upload = firmware_upload_register(NULL, host, upload_name(), &double_ops, NULL);
	if (!IS_ERR(upload))
		return 0;
	err = PTR_ERR(upload);
	device_del(host);
no_device:
	put_device(host);
no_host:
	root_device_unregister(faux);
	return err;
}

static void __exit double_exit(void)
{
	WRITE_ONCE(stopping, true);	/* a worker that takes its time is waited for */
	if (node)
		firmware_upload_unregister(upload);
	device_unregister(host);
	root_device_unregister(faux);
}

module_init(double_init);
module_exit(double_exit);

MODULE_DESCRIPTION("A double of a TDX host, for tests");
MODULE_LICENSE("Dual MIT/GPL");
