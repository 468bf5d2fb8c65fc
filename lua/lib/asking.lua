-- lib/asking: what a step needs where tickets want to go.

--@include lib/choice
--@include lib/weigh
--@include lib/verdict
--@include lib/tenants
--@include lib/grants
--@include lib/judgement
--@include lib/enqueue
