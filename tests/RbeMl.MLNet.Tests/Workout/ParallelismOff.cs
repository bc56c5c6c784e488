// Heap growth is measured for the whole process, so no other test may run beside it.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
