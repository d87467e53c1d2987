/* SPDX-License-Identifier: MIT */
/* A plugin in C++, with which test_plugin.c, in C, loads the C++ runtime. */
#include <exception>

/* Whether two exceptions, one inside the other, survive what fn does. */
extern "C" int plugin_catch(int n, void (*fn)())
{
	bool right = true;

	try {
		throw n;
	} catch (int) {
		fn();
		try {
			throw n + 0.5;
		} catch (double) {
			fn();
			try {
				throw;
			} catch (double d) {
				right &= d == n + 0.5;
			}
		}
		fn();
		try {
			throw;
		} catch (int i) {
			right &= i == n;
		}
	}
	return right && !std::current_exception();
}
