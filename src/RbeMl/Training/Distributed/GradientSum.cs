namespace RbeMl.Training;

/// <summary>How the gradients of several ranks are added up.</summary>
public enum GradientSum
{
    /// <summary>By a fixed tree over the micro-batches of a step: the bits of one process, on any number of ranks.</summary>
    Reproducible,

    /// <summary>
    /// By whatever connects the ranks (of MPI its all-reduce), in an order of its own: all ranks have the same weights, whose bits depend on
    /// the number of ranks and on the library.
    /// </summary>
    Engine,
}

/// <summary>What gradients are rounded to on their way between ranks.</summary>
public enum GradientWire
{
    /// <summary>Nothing: floats.</summary>
    Float32,

    /// <summary>
    /// bf16, half of the bytes. What rounding took away is kept and added to the next step's gradient (error feedback). All ranks have the same
    /// weights, and a run repeated on as many ranks the same bits, which are not those of one process.
    /// </summary>
    BFloat16,
}
