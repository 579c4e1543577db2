# SPDX-License-Identifier: GPL-2.0
#
# From llvm-cov's lcov format: lines and branches of each file that were run, without the tests, which are at the end of
# the files that they test, or in files of their own.

function percent(part, whole) {
	return whole ? sprintf("%6.2f %%", 100 * part / whole) : "       -"
}

function row(name, l, lines, b, branches) {
	printf "%-28s %6d %6d %s %9d %6d %s\n", name, lines, lines - l, percent(l, lines),
		branches, branches - b, percent(b, branches)
}

BEGIN {
	FS = "[:,]"
	printf "%-28s %6s %6s %8s %9s %6s %8s\n", "file", "lines", "missed", "", "branches", "missed", ""
}

$1 == "SF" {
	name = $2
	sub(".*/src/", "", name)
	tests = name ~ /testing\.rs$/ ? 1 : 0
	while (!tests && (getline text <$2) > 0) {
		number++
		if (text ~ /^#\[cfg\(test\)\]/)
			tests = number
	}
	close($2)
	l = lines = b = branches = number = 0
}

tests && $2 >= tests { next }
$1 == "DA" { lines++; l += $3 > 0 }
$1 == "BRDA" { branches++; b += $5 > 0 }

/^end_of_record/ {
	if (lines)
		row(name, l, lines, b, branches)
	all_l += l; all_lines += lines; all_b += b; all_branches += branches
}

END { row("all", all_l, all_lines, all_b, all_branches) }
