"""Membership and linkage: was a candidate's image among the members, and behind which released one does it stand?"""
