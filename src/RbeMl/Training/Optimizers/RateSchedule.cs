namespace RbeMl.Training;

/// <summary>Shape of the learning rate after warm-up.</summary>
public enum RateSchedule
{
    /// <summary>Half a cosine down to the final fraction.</summary>
    Cosine,

    /// <summary>A straight line down to the final fraction.</summary>
    Linear,

    /// <summary>No change.</summary>
    Constant,
}
