/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM spdm

#if !defined(_SPDM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SPDM_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

TRACE_EVENT(spdm_message,
	TP_PROTO(struct device *dev, bool response, size_t len, size_t offset,
		 const u8 *data, size_t size),
	TP_ARGS(dev, response, len, offset, data, size),

	TP_STRUCT__entry(
		__string(name, dev_name(dev))
		__field(bool, response)
		__field(u32, len)
		__field(u32, offset)
		__dynamic_array(u8, data, size)
	),

	TP_fast_assign(
		__assign_str(name);
		__entry->response = response;
		__entry->len = len;
		__entry->offset = offset;
		memcpy(__get_dynamic_array(data), data, size);
	),

	TP_printk("name=%s dir=%s len=%u offset=%u data=%s", __get_str(name),
		  __entry->response ? "response" : "request", __entry->len, __entry->offset,
		  __print_hex(__get_dynamic_array(data), __get_dynamic_array_len(data)))
);

TRACE_EVENT(spdm_verdict,
	TP_PROTO(struct device *dev, const char *state, const char *reason),
	TP_ARGS(dev, state, reason),

	TP_STRUCT__entry(
		__string(name, dev_name(dev))
		__string(state, state)
		__string(reason, reason)
	),

	TP_fast_assign(
		__assign_str(name);
		__assign_str(state);
		__assign_str(reason);
	),

	TP_printk("name=%s state=%s reason=%s", __get_str(name), __get_str(state),
		  __get_str(reason))
);

#endif /* _SPDM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
