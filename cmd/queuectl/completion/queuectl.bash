# shellcheck shell=bash
# Completion of queuectl for bash 3.2 and later.

_queuectl() {
	local line=${COMP_LINE:0:COMP_POINT} program=$1 last prefix='' kind='' candidate quoted
	local -a words
	local -i n=$((COMP_CWORD - 1))
	words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	COMPREPLY=()

	# bash takes a word apart at "=" and ":", and replaces its last part only.
	last=${words[n]}
	while ((n > 0)) && [[ $last && $line == *"${words[n - 1]}$last" ]]; do
		n=$((n - 1))
		last=${words[n]}$last
	done
	if [[ $last == "${words[n]}"?* ]]; then
		prefix=${last%"${last##*[=:]}"}
	fi
	words=("${words[@]:0:n}" "$last")

	# They are as they were typed: without their quotes they are what is meant.
	quoted=${last:0:1}
	words=("${words[@]//[\\\'\"]/}")
	prefix=${prefix//[\\\'\"]/}
	# shellcheck disable=SC2088 # the tilde was typed, and bash has not expanded it
	case $program in
	"~/"*) program=$HOME/${program#"~/"} ;;
	esac
	while IFS=$'\t' read -r candidate _; do
		if [[ -z $kind ]]; then
			kind=$candidate
			continue
		fi
		candidate=${candidate#"$prefix"}
		if [[ $quoted != [\'\"] && $candidate == *[!A-Za-z0-9_.,:=@%+/-]* ]]; then
			printf -v candidate '%q' "$candidate"
		fi
		COMPREPLY+=("$candidate")
	done < <("$program" __complete "${words[@]}" 2>/dev/null)

	# Without candidates bash offers files: that is what "complete -o default" asks for.
	case $kind in
	files) ;;
	directories) compopt -o dirnames 2>/dev/null ;;
	*) compopt +o default 2>/dev/null ;;
	esac
	return 0
}

complete -o default -F _queuectl queuectl
