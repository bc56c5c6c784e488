namespace RbeMl.Training;

/// <summary>When a training that is validated now and then has got no better for too long: the rule of all that have a patience.</summary>
internal static class EarlyStopping
{
    /// <summary>Whether it ends.</summary>
    /// <param name="patience">Validations in a row without a better one; 0 never ends.</param>
    /// <param name="done">Validations so far.</param>
    /// <param name="best">Number of the best of them, from 1; 0 where none was finite.</param>
    public static bool IsOver(int patience, int done, int best) => patience > 0 && done - best >= patience;
}
