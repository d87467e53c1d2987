# SPDX-License-Identifier: MIT
"""Microthreads for Python on Tuck's stack slicing."""
