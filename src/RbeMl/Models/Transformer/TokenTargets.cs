namespace RbeMl.Models;

/// <summary>What a batch predicts: every target that is an id. Means of losses are over these, whatever is padded.</summary>
internal static class TokenTargets
{
    /// <summary>Targets that are to be predicted.</summary>
    /// <param name="targets">Ids; negative where nothing is to be predicted.</param>
    public static int Count(ReadOnlySpan<int> targets)
    {
        int count = 0;
        foreach (int target in targets)
        {
            if (target >= 0) count++;
        }

        return count;
    }

    /// <summary>The error of a mean over nothing.</summary>
    /// <param name="what">What has no target.</param>
    public static TokenException None(string what) => new($"no token of {what} has a target, so there is no loss. Give at least one target that is not -1.");
}
