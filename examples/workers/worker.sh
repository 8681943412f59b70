while read -r line; do
    id=${line#*'"id":"'} id=${id%%'"'*}
    echo "working on $id" >&2
    echo "{\"id\":\"$id\",\"status\":\"ok\"}"
done
