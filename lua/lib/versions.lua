-- lib/versions: what another version has stored is not read.

do
    --@include lib/layouts
    if opened[1] and string.byte(opened[1], -1) ~= LAYOUT then
        error("pool_register: another version of llm_fleet has written this pool; delete its keys, or set another namespace")
    end
end
