# Completion of queuectl for fish.

function __queuectl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    set -l lines ($program __complete $words "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case directories
            __fish_complete_directories "$current"
        case '*'
            for line in $lines[2..-1]
                echo $line
            end
    end
end

complete -c queuectl -f -a '(__queuectl_complete)'
