#compdef queuectl
# Completion of queuectl for zsh.

_queuectl() {
	local -a lines candidates
	local kind line word note
	lines=("${(@f)$(${(Q)~words[1]} __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	kind=$lines[1]
	shift lines
	case $kind in
	files)
		_files
		return
		;;
	directories)
		_files -/
		return
		;;
	esac
	for line in $lines; do
		# A colon parts the word from its note.
		word=${line%%$'\t'*}
		note=${line#"$word"}
		candidates+=("${word//:/\\:}${note:+:${note#?}}")
	done
	_describe -t queuectl queuectl candidates
}

# Read from a directory of $fpath, the file is the function itself.
if [[ $funcstack[1] == _queuectl ]]; then
	_queuectl "$@"
else
	compdef _queuectl queuectl
fi
